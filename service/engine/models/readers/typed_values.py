"""Values that stand in tags: text, which gets the type that the tool's JSON schema names."""

from collections.abc import Callable, Mapping
from typing import Any

import regex

from service.engine.models.readers.json_text import load_object, load_value

_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "object": (dict,), "array": (list,),
    "null": (type(None),),
}  # fmt: skip


def typed(text: str, schema: Any, string: str | None = None) -> Any:
    """Return the value that a tag's text means under a JSON schema. Without a schema, JSON is read where it is JSON.

    `string` is the tag's own word on it: "true" for a string, "false" for JSON.
    """
    if is_text(schema, string):
        return text
    kinds = _kinds(schema)
    try:
        value = load_value(text.strip())
    except ValueError:
        return _read_loosely(text, kinds)
    if "string" in kinds and string is None:
        others = tuple(each for kind in kinds - {"string"} for each in _KINDS[kind])
        return value if isinstance(value, others) else text
    return int(value) if "integer" in kinds and isinstance(value, float) and value.is_integer() else value


def _read_loosely(text: str, kinds: set[str]) -> Any:
    """Return the value of text that is no JSON: words of Python, an object or a list that must be mended, or the text."""
    word = text.strip().lower()
    if "boolean" in kinds and word in ("true", "false"):
        return word == "true"
    if kinds and "string" not in kinds and word in ("none", "null"):
        return None
    mended = load_object(f'{{"v": {text}}}') if kinds & {"object", "array"} else None
    return mended["v"] if mended and "v" in mended else text


def is_text(schema: Any, string: str | None) -> bool:
    """Return whether a tag's value is a string as it stands."""
    return string in ("true", "string") or (string is None and _kinds(schema) == {"string"})


def _kinds(schema: Any) -> set[str]:
    """Return the JSON types that a schema allows. Empty means any."""
    if not isinstance(schema, Mapping):
        return set()
    given = schema.get("type")
    if isinstance(given, str):
        return {given} & _KINDS.keys()
    if isinstance(given, (list, tuple)):
        return {kind for kind in given if isinstance(kind, str)} & _KINDS.keys()
    if "enum" in schema or "const" in schema:
        values = schema.get("enum") or [schema.get("const")]
        return {name for name, kind in _KINDS.items() if any(isinstance(value, kind) for value in values)}
    alternatives = [kind for word in ("anyOf", "oneOf", "allOf") for kind in schema.get(word) or ()]
    found = [_kinds(each) for each in alternatives]
    return set().union(*found) if found and all(found) else set()


def nested_value(prefix: str) -> Callable[[str, Any, str | None], Any]:
    """Return the reader of values where an object's members and a list's items are tags too, each with this prefix."""
    opening = regex.compile(rf"\s*{prefix}<(?P<key>[\w.\-]+)>", regex.DOTALL)

    def read(text: str, schema: Any, string: str | None = None) -> Any:
        first = opening.match(text)
        kinds = _kinds(schema)
        if first is None:
            if not text.strip() and kinds & {"object", "array"} and "string" not in kinds:
                return [] if "array" in kinds else {}
            return typed(text, schema, string)
        members: dict[str, list[Any]] = {}
        schemas = schema if isinstance(schema, Mapping) else {}
        is_list = "array" in kinds or (not kinds and first["key"] == "item")
        while first is not None:
            key = first["key"]
            end = regex.compile(rf"{prefix}</{regex.escape(key)}>").search(text, first.end())
            inner, after = (text[first.end() : end.start()], end.end()) if end else (text[first.end() :], len(text))
            properties = schemas.get("properties")
            member = schemas.get("items") if is_list else properties.get(key) if isinstance(properties, Mapping) else None
            members.setdefault(key, []).append(read(inner, member))
            first = opening.match(text, after)
        if is_list:
            return [item for items in members.values() for item in items]
        return {key: items[0] if len(items) == 1 else items for key, items in members.items()}

    return read
