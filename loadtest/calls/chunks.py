"""Parse and check one event of a stream. A server can send anything, and a malformed event counts as the server's failure."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

_MOST_TOKENS = 2**31
"""Upper limit for a token count. Larger values are not plausible, and their sums would not fit into the record's JSON."""
_Kind = TypeVar("_Kind", str, list[Any], dict[str, Any])


class Malformed(Exception):
    """The event is not an OpenAI chunk. The message names the wrong part, and never contains the event's content."""


@dataclass(slots=True)
class Tokens:
    """Token counts from `usage`."""

    prompt: int
    cached: int
    completion: int


@dataclass(slots=True)
class Chunk:
    is_listed: bool = False
    """Whether `choices` is a list."""
    has_choices: bool = False
    """Whether `choices` has an entry."""
    text: str = ""
    has_call: bool = False
    """Whether the delta has a piece of a tool call."""
    tokens: Tokens | None = None
    error: Any = field(default=None, repr=False)
    """The event's `error`. If it is set, the other fields were not read."""


def chunk_of(payload: bytes) -> Chunk:
    """Parse the text after `data:`. Raises `Malformed` if it is not a chunk."""
    found = _loaded(payload)
    if error := found.get("error"):
        return Chunk(error=error)
    chunk = Chunk(is_listed=isinstance(found.get("choices"), list))
    if choices := _part(found, "choices", list):
        delta = _part(_object(choices[0], "choices"), "delta", dict)
        chunk.has_choices, chunk.text = True, _part(delta, "content", str)
        calls, old_call = _part(delta, "tool_calls", list), _part(delta, "function_call", dict)
        chunk.has_call = bool(calls or old_call)
    if usage := _part(found, "usage", dict):
        cached = _count(_part(usage, "prompt_tokens_details", dict), "cached_tokens")
        chunk.tokens = Tokens(_count(usage, "prompt_tokens"), cached, _count(usage, "completion_tokens"))
    return chunk


def _loaded(payload: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(payload)
    except (orjson.JSONDecodeError, RecursionError):
        raise Malformed("not JSON") from None
    return _object(found, "not an object")


def _object(found: Any, name: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Malformed(name)
    return found


def _part(of: dict[str, Any], name: str, kind: type[_Kind]) -> _Kind:
    """The value of a field. Null counts as absent, because some servers write it."""
    value = of.get(name)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise Malformed(name)
    return value


def _count(of: dict[str, Any], name: str) -> int:
    value = of.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value < _MOST_TOKENS:  # True is an int too.
        raise Malformed(name)
    return value
