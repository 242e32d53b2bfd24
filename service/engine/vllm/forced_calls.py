"""Holds forced tool calls to a syntax: the model's own where vLLM has its grammar, otherwise JSON.

vLLM takes the constraint of a turn from a tool parser. This one only constrains: our own readers read. It needs no special tokens
of the vocabulary, so it can be made for any tokenizer.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from vllm.tool_parsers import ToolParser, ToolParserManager

from service.domain import ToolUse
from service.engine.models.readers.parts import NOTHING_OFFERED, Offered


def register_constraint(structural_tag: str | None) -> str:
    """Register a tool parser that holds forced calls to this grammar of vLLM's. Returns its name. None means JSON."""
    name = f"firstword_{structural_tag or 'json'}"
    # `structural_tag_model` must be set when the class is made: vLLM derives other attributes from it.
    parser = type(f"Firstword_{structural_tag}", (ToolParser,), {"structural_tag_model": structural_tag})
    ToolParserManager.register_module(name, module=parser)
    return name


def offered_by(tool_use: ToolUse | None, request: Any) -> Offered:
    """Return what a turn offers. `request` is vLLM's request after rendering, when the constraint is set."""
    if tool_use is None or tool_use.choice == "none":
        return NOTHING_OFFERED
    named = tool_use.named if tool_use.choice == "named" else None
    functions: Mapping[str, Mapping[str, Any]] = {
        tool.name: tool.parameters for tool in tool_use.tools if named is None or tool.name == named
    }
    max_calls = 1 if named is not None or not tool_use.is_parallel else None
    return Offered(functions, max_calls, _forced(tool_use, request))


def _forced(tool_use: ToolUse, request: Any) -> Literal["list", "arguments"] | None:
    constraint = request.structured_outputs
    if tool_use.choice == "auto" or constraint is None or constraint.json is None:
        return None
    # For Mistral's tokenizers vLLM holds a named call to a list too.
    schema = json.loads(constraint.json) if isinstance(constraint.json, str) else constraint.json
    return "list" if schema.get("type") == "array" else "arguments"
