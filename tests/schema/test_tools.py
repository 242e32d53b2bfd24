"""Tools, choices and response formats in a request: what is accepted, and the position of each error."""

import json
from typing import Any

import pytest

from service.errors import InvalidRequest
from service.schema.request import parse_request
from tests.support.factories import CANARY, make_body, make_request

TOOL = {"type": "function", "function": {"name": "f"}}


def tool(**function: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "f", **function}}]


def schema_format(**json_schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": json_schema}


@pytest.mark.parametrize(
    ("field", "value", "below", "code"),
    [
        ("tools", CANARY, "", "invalid_type"),
        ("tools", [CANARY], "[0]", "invalid_type"),
        ("tools", [TOOL] * 129, "", "array_above_max_length"),
        ("tools", [{"function": {"name": "f"}}], "[0].type", "missing_required_parameter"),
        ("tools", [TOOL, {"type": "custom", "custom": {"name": CANARY}}], "[1].type", "invalid_value"),
        ("tools", [{"type": CANARY}], "[0].type", "invalid_value"),
        ("tools", [{"type": "function"}], "[0].function", "missing_required_parameter"),
        ("tools", tool(name=None), "[0].function.name", "invalid_type"),
        ("tools", tool(name=f"{CANARY} x"), "[0].function.name", "invalid_value"),
        ("tools", tool(name="x" * 65), "[0].function.name", "invalid_value"),
        ("tools", tool(name="café"), "[0].function.name", "invalid_value"),
        ("tools", tool(parameters=[CANARY]), "[0].function.parameters", "invalid_type"),
        ("tools", tool(strict=CANARY), "[0].function.strict", "invalid_type"),
        ("tool_choice", CANARY, "", "invalid_value"),
        ("tool_choice", [CANARY], "", "invalid_type"),
        ("tool_choice", {"type": "function"}, ".function", "missing_required_parameter"),
        ("tool_choice", {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, ".type", "invalid_value"),
        ("tool_choice", {"type": "custom", "custom": {"name": CANARY}}, ".type", "invalid_value"),
        ("parallel_tool_calls", CANARY, "", "invalid_type"),
        ("functions", [{"description": CANARY}], "[0].name", "missing_required_parameter"),
        ("function_call", CANARY, "", "invalid_value"),
        ("function_call", "required", "", "invalid_value"),
        ("function_call", {}, ".name", "missing_required_parameter"),
        ("response_format", CANARY, "", "invalid_type"),
        ("response_format", {}, ".type", "missing_required_parameter"),
        ("response_format", {"type": CANARY}, ".type", "invalid_value"),
        ("response_format", {"type": None}, ".type", "invalid_value"),
        ("response_format", {"type": "json_schema"}, ".json_schema", "missing_required_parameter"),
        ("response_format", schema_format(schema={}), ".json_schema.name", "missing_required_parameter"),
        ("response_format", schema_format(name=f"{CANARY}!"), ".json_schema.name", "invalid_value"),
        ("response_format", schema_format(name="a", schema=[CANARY]), ".json_schema.schema", "invalid_type"),
        ("reasoning_effort", CANARY, "", "invalid_value"),
        ("logprobs", 1, "", "invalid_type"),
        ("top_logprobs", 21, "", "integer_above_max_value"),
        ("top_logprobs", -1, "", "integer_below_min_value"),
        ("service_tier", {"x": CANARY}, "", "invalid_type"),
        ("chat_template_kwargs", [CANARY], "", "invalid_type"),
        ("stop_token_ids", [0, -1], "[1]", "integer_below_min_value"),
        ("stop_token_ids", [1] * 65, "", "array_above_max_length"),
    ],
    ids=lambda part: json.dumps(part)[:50],
)
def test_the_wrong_place_is_named_and_no_word_repeated(field: str, value: object, below: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_request(json.dumps(make_body(**{field: value})).encode(), max_messages=10)
    error = caught.value
    assert (error.param, error.code) == (f"{field}{below}", code)
    assert CANARY not in error.message
    assert "<" not in error.message
    assert len(error.message) < 200


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": tool(description="d", parameters={"type": "object", "$defs": {"a": [1]}}, strict=False), "tool_choice": "auto"},
        {"tools": tool(name="x" * 64)},
        {"tools": [TOOL] * 128, "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": TOOL},
        {"functions": [{"name": "a-b_C9"}], "function_call": {"name": "a-b_C9"}},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": schema_format(name="a", description="d", schema={"type": "object"}, strict=True)},
        {"reasoning_effort": "max"},
        {"logprobs": True, "top_logprobs": 20},
    ],
    ids=lambda fields: json.dumps(fields)[:50],
)
def test_what_openai_takes_is_taken_as_it_is(fields: dict[str, Any]) -> None:
    taken = make_request(**fields).model_dump(exclude_unset=True, by_alias=True)
    assert {name: taken[name] for name in fields} == fields
