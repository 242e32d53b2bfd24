"""The fixtures in `families/`: one folder for each model family, with its chat template, its tokens and sample outputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "families"

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer"},
                    "units": {"type": "string", "enum": ["c", "f"]},
                },
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {"name": "end_call", "description": "Hang up.", "parameters": {"type": "object", "properties": {}}},
    },
    {
        "type": "function",
        "function": {
            "name": "note",
            "description": "Take a note.",
            "parameters": {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "meta": {"type": "object"},
                    "done": {"type": "boolean"},
                    "score": {"type": "number"},
                },
                "required": ["text"],
            },
        },
    },
]
SCHEMAS: Mapping[str, Mapping[str, Any]] = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}


@dataclass(frozen=True, eq=False)
class Family:
    name: str
    template: str
    facts: Mapping[str, Any]

    @property
    def expect(self) -> Mapping[str, Any]:
        expected: Mapping[str, Any] = self.facts["expect"]
        return expected

    @property
    def outputs(self) -> list[Mapping[str, Any]]:
        return list(self.facts["outputs"])

    @property
    def tokens(self) -> list[str]:
        return [*self.facts["special_tokens"], *self.facts["added_tokens"]]


@cache
def family(name: str) -> Family:
    folder = FOLDER / name
    facts = yaml.safe_load((folder / "family.yaml").read_text(encoding="utf-8"))
    return Family(name, (folder / "template.jinja").read_text(encoding="utf-8"), facts)


FAMILIES = tuple(sorted(path.parent.name for path in FOLDER.glob("*/family.yaml")))
