"""Chat templates of model families, rendered as transformers renders them."""

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from service.domain import Message, TemplateTraits, Tool
from service.engine.models.control_marks import control_marks
from service.engine.models.json_object import JsonObject
from service.engine.models.template_traits import Render, probe_traits

_TESTS = Path(__file__).parent.parent
TEMPLATES = {path.stem: path for path in (_TESTS / "templates").glob("*.jinja")}
# The models' own fixtures: a template, and a description with the special tokens.
FIXTURES = {f"models/{path.parent.name}": path for path in (_TESTS / "engine/models/families").glob("*/template.jinja")}
FAMILIES = sorted(TEMPLATES) + sorted(FIXTURES)


@cache
def description(family: str) -> dict[str, Any]:
    """Return what `family.yaml` says about a family of `FIXTURES`."""
    described: dict[str, Any] = yaml.safe_load(FIXTURES[family].with_name("family.yaml").read_text())
    return described


def template_of(family: str) -> str:
    return (TEMPLATES | FIXTURES)[family].read_text()


def family_render(family: str) -> Render:
    tokens = (
        {name: token for name in ("bos_token", "eos_token") if (token := description(family).get(name))}
        if family in FIXTURES
        else {}
    )
    return template_render(template_of(family), **tokens)


def family_marks(family: str) -> frozenset[str]:
    """Return the control marks of a family, as the engine finds them in its vocabulary and template."""
    about = description(family) if family in FIXTURES else {}
    return control_marks(about.get("added_tokens", ()), about.get("special_tokens", ()), template_of(family))


@cache
def family_traits(family: str) -> TemplateTraits:
    return probe_traits(family_render(family), control_marks=family_marks(family))


def template_render(source: str, bos_token: str = "<s>", eos_token: str = "</s>") -> Render:
    """Return a renderer with the environment of transformers (`chat_template_utils`) and the arguments that vLLM passes."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _raise, "strftime_now": lambda form: datetime.now().strftime(form)}
    template = environment.from_string(source)

    def render(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        return template.render(
            messages=messages, tools=tools, add_generation_prompt=True, bos_token=bos_token, eos_token=eos_token
        )

    return render


def as_sent(message: Message) -> dict[str, Any]:
    """Return a message as an engine passes it to the template: arguments of calls as objects, and no empty fields."""
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": JsonObject(json.loads(call.arguments))}}
        for call in message.tool_calls
    ]
    thought = message.reasoning or None
    fields = {
        "name": message.name,
        "tool_calls": calls or None,
        "tool_call_id": message.tool_call_id,
        "reasoning": thought,
        "reasoning_content": thought,
    }
    return {"role": message.role, "content": message.content} | {key: value for key, value in fields.items() if value is not None}


def as_offered(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
