"""tool_use_of: which tools a turn has, and which may or must be called, in OpenAI's current and legacy forms."""

from typing import Any

import pytest

from service.domain import Tool, ToolUse
from service.errors import InvalidRequest
from service.normalize.tools import tool_use_of
from tests.support.factories import CANARY, make_request

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NO_PARAMETERS = {"type": "object", "properties": {}}
SPECS = [{"name": "get_weather", "description": "The weather.", "parameters": SCHEMA, "strict": True}, {"name": "hang_up"}]
TOOLS = (Tool("get_weather", "The weather.", SCHEMA, strict=True), Tool("hang_up", None, NO_PARAMETERS))
OFFERED = [{"type": "function", "function": spec} for spec in SPECS]


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def use_of(**fields: Any) -> ToolUse | None:
    return tool_use_of(make_request(**fields))


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        (None, ToolUse(TOOLS, "auto")),
        ("auto", ToolUse(TOOLS, "auto")),
        ("none", ToolUse(TOOLS, "none")),
        ("required", ToolUse(TOOLS, "required")),
        (named("hang_up"), ToolUse(TOOLS, "named", named="hang_up")),
    ],
)
def test_tools_with_each_choice(choice: object, meant: ToolUse) -> None:
    assert use_of(tools=OFFERED, tool_choice=choice) == meant


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        (None, ToolUse(TOOLS, "auto", is_parallel=False)),
        ("auto", ToolUse(TOOLS, "auto", is_parallel=False)),
        ("none", ToolUse(TOOLS, "none")),
        ({"name": "get_weather"}, ToolUse(TOOLS, "named", named="get_weather", is_parallel=False)),
    ],
)
def test_functions_with_each_choice_are_tools_of_one_call(choice: object, meant: ToolUse) -> None:
    assert use_of(functions=SPECS, function_call=choice) == meant


@pytest.mark.parametrize(("asked", "is_parallel"), [(None, True), (True, True), (False, False)])
@pytest.mark.parametrize("choice", ["auto", "required", named("hang_up")])
def test_calls_are_parallel_unless_told_otherwise(choice: object, asked: bool | None, is_parallel: bool) -> None:
    use = use_of(tools=OFFERED, tool_choice=choice, parallel_tool_calls=asked)
    assert use is not None
    assert use.is_parallel is is_parallel


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": []},
        {"tools": None, "functions": []},
        {"tool_choice": "auto"},
        {"tool_choice": "none", "function_call": "none"},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": False},
    ],
)
def test_without_tools_there_is_nothing_to_use(fields: dict[str, Any]) -> None:
    assert use_of(**fields) is None


@pytest.mark.parametrize("parameters", [None, {}])
def test_a_function_without_parameters_takes_an_empty_object(parameters: object) -> None:
    use = use_of(tools=[{"type": "function", "function": {"name": "f", "parameters": parameters}}])
    assert use is not None
    assert use.tools[0].parameters == NO_PARAMETERS


@pytest.mark.parametrize(
    ("fields", "param", "reason"),
    [
        ({"tools": OFFERED, "functions": SPECS}, "functions", "only one of the two"),
        ({"tools": OFFERED, "tool_choice": named(CANARY)}, "tool_choice", "not in tools"),
        ({"functions": SPECS, "function_call": {"name": CANARY}}, "function_call", "not in functions"),
        ({"tools": [OFFERED[0], OFFERED[0]]}, "tools", "same name"),
        ({"functions": [{"name": CANARY}, {"name": CANARY}]}, "functions", "same name"),
        ({"tool_choice": "required"}, "tool_choice", "requires tools"),
        ({"tools": [], "tool_choice": named("hang_up")}, "tool_choice", "requires tools"),
        ({"function_call": {"name": "hang_up"}}, "function_call", "requires functions"),
        # A choice in the other form is not ignored silently.
        ({"functions": SPECS, "tool_choice": "required"}, "tool_choice", "requires tools"),
        ({"functions": SPECS, "tool_choice": named("hang_up")}, "tool_choice", "requires tools"),
        ({"tools": OFFERED, "function_call": {"name": "hang_up"}}, "function_call", "requires functions"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(fields: dict[str, Any], param: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        use_of(**fields)
    assert (caught.value.param, caught.value.code) == (param, "invalid_value")
    assert CANARY not in caught.value.message
