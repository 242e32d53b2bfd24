"""Limits for JSON schemas. They are checked before the engine gets a schema.

The engine compiles a schema to a grammar in its own process, which all turns share. A very large schema stalls or ends all of
them: 20,000 optional properties took 20 GB and killed the engine. The limits for nesting, enum values, and characters of names
and values are those of OpenAI's structured outputs guide. The limit for properties is a fifth of OpenAI's 5,000, because of their
cost here. The other limits are our own. They limit what a small text can expand to.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from service.errors import InvalidRequest

MAX_PROPERTIES = 1000
MAX_DEPTH = 10
MAX_ENUM_VALUES = 1000
MAX_NAME_CHARS = 120_000
MAX_REPEAT = 2000
MAX_PATTERN_CHARS = 500
MAX_NODES = 5000
MAX_BYTES = 256 * 1024

_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains")
_SUBSCHEMAS = (
    "items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "additionalItems", "contains", "propertyNames",
    "not", "if", "then", "else",
)  # fmt: skip
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_REPEATS = re.compile(r"\{(\d*),?(\d*)\}")


def check_schema(schema: Mapping[str, Any], param: str) -> None:
    """Check a schema. Raises `InvalidRequest` with the limit and the value, but without names or values from the schema."""
    _at_most("its size in bytes", len(orjson.dumps(schema)), MAX_BYTES, param)
    properties = enum_values = name_chars = 0
    for nodes, (node, depth) in enumerate(_walk(schema), start=1):
        _at_most("the nesting depth", depth, MAX_DEPTH, param)
        _at_most("the number of subschemas", nodes, MAX_NODES, param)
        named = node.get("properties")
        enum = node.get("enum")
        names = list(named) if isinstance(named, Mapping) else []
        values = enum if isinstance(enum, list) else []
        properties += len(names)
        enum_values += len(values)
        name_chars += sum(len(str(each)) for each in [*names, *values, node.get("const", "")])
        _at_most("the number of properties", properties, MAX_PROPERTIES, param)
        _at_most("the number of enum values", enum_values, MAX_ENUM_VALUES, param)
        _at_most("the number of characters in names and values", name_chars, MAX_NAME_CHARS, param)
        _check_meaning(node, param)
        for keyword in _COUNTS:
            _check_count(keyword, node.get(keyword), param)
        patterns = node.get("patternProperties")
        for pattern in [node.get("pattern"), *(patterns if isinstance(patterns, Mapping) else ())]:
            _check_pattern(pattern, param)


def _walk(schema: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield every subschema with its depth. It does not recurse, so any depth is safe."""
    waiting: list[tuple[Any, int]] = [(schema, 1)]
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        yield node, depth
        waiting += [(node.get(keyword), depth + 1) for keyword in _SUBSCHEMAS]
        for keyword in _LISTS:
            listed = node.get(keyword)
            # An alternative has the same depth as the schema that it is an alternative of.
            waiting += [(each, depth) for each in listed] if isinstance(listed, list) else []
        if isinstance(items := node.get("items"), list):
            waiting += [(each, depth + 1) for each in items]
        for keyword in _MAPS:
            mapped = node.get(keyword)
            deeper = 0 if keyword in ("$defs", "definitions") else 1
            waiting += [(each, depth + deeper) for each in mapped.values()] if isinstance(mapped, Mapping) else []


def _check_meaning(node: Mapping[str, Any], param: str) -> None:
    """Refuse what the compiler accepts but does not enforce."""
    if "not" in node:
        raise InvalidRequest(f"{param}: the keyword `not` is not supported. Remove it.", param=param, code="unsupported_value")
    reference = node.get("$ref", "#")
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise InvalidRequest(f"{param}: $ref must refer to this schema and begin with #.", param=param, code="invalid_value")


def _check_count(keyword: str, value: object, param: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:  # Also refuses NaN.
        raise InvalidRequest(f"{param}: {keyword} must be a number of at least 0.", param=param, code="invalid_value")
    _at_most(keyword, value, MAX_REPEAT, param)


def _check_pattern(pattern: object, param: str) -> None:
    if pattern is None:
        return
    if not isinstance(pattern, str):
        raise InvalidRequest(f"{param}: a pattern must be a string.", param=param, code="invalid_type")
    _at_most("the number of characters in a pattern", len(pattern), MAX_PATTERN_CHARS, param)
    # Nested repetitions multiply, so all repetitions are counted as if they were nested.
    repeats = 1
    for least, most in _REPEATS.findall(pattern):
        repeats *= max(1, *(int(bound[:9]) for bound in (least, most) if bound), 1)
        _at_most("the number of repetitions in a pattern", repeats, MAX_REPEAT, param)


def _at_most(what: str, value: float, limit: int, param: str) -> None:
    if value > limit:
        given = f"; given: {value}" if value < 1e15 else ""
        raise InvalidRequest(f"{param}: {what} must be at most {limit}{given}.", param=param, code="invalid_value")
