"""A schema that would stall or end the engine is refused. Schemas that people write are accepted."""

from typing import Any

import pytest

from service.errors import InvalidRequest
from service.normalize.json_schema import check_schema
from tests.support.service_under_test import ScriptedService

CANARY = "canary"


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {CANARY: schema}, "required": [CANARY]}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object", "properties": {"city": {"type": "string", "maxLength": 80}}, "additionalProperties": False},
        nested(9),
        {"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"},
        {"type": "array", "items": {"enum": [f"value {number}" for number in range(1000)]}, "minItems": 1, "maxItems": 100},
        {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
        {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": -5}]},
        {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(1000)}},
        {"type": ["string", "null"], "properties": [1], "items": [{}, True], "enum": None, "anyOf": {}},
    ],
)
def test_what_people_write_passes(schema: dict[str, Any]) -> None:
    check_schema(schema, "p")


@pytest.mark.parametrize(
    ("schema", "facts"),
    [
        (nested(10), ("nesting", "10")),
        ({"type": "object", "properties": {f"{CANARY}{number}": {} for number in range(1001)}}, ("properties", "1000")),
        ({"enum": [f"{CANARY}{number}" for number in range(1001)]}, ("enum values", "1000")),
        ({"const": CANARY * 20_001}, ("characters", "names and values", "120000")),
        ({"description": "x" * 300_000}, ("bytes", "262144")),
        ({"type": "string", "minLength": 10**9}, ("minLength", "2000")),
        ({"type": "array", "items": {"type": "string", "maxLength": 10**6}}, ("maxLength", "2000")),
        ({"type": "array", "minItems": -1}, ("minItems", "number", "at least 0")),
        ({"type": "array", "maxItems": float("nan")}, ("maxItems", "number")),
        ({"type": "string", "pattern": "((a{1,100}){1,100}){1,100}"}, ("repetitions", "pattern", "2000")),
        ({"type": "string", "pattern": "a" * 501}, ("characters", "pattern", "500")),
        ({"type": "object", "patternProperties": {"a{9999}": {}}}, ("repetitions", "pattern", "2000")),
        ({"not": {"type": "string"}}, ("`not` is not supported",)),
        ({"$ref": f"file:///{CANARY}"}, ("$ref", "begin with #")),
        ({"type": "string", "pattern": 5}, ("pattern", "must be a string")),
        ({"anyOf": [{"type": "integer", "title": "x"}] * 10_000}, ("at most",)),
    ],
)
def test_what_would_blow_up_is_refused_naming_the_limit(schema: dict[str, Any], facts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_schema(schema, "response_format.json_schema.schema")
    assert all(fact in refused.value.message for fact in facts), refused.value.message
    assert refused.value.param == "response_format.json_schema.schema"
    assert CANARY not in refused.value.message


def test_it_holds_for_formats_and_for_tools(service: ScriptedService) -> None:
    monster = {"type": "string", "minLength": 10**9}
    format_asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": monster}}
    refused = service.post(service.body(response_format=format_asked))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_format.json_schema.schema")
    tool = {"type": "function", "function": {"name": "f", "parameters": monster}}
    refused = service.post(service.body(tools=[tool]))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tools[0].function.parameters")
