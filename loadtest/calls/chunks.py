"""One event of a stream, checked before anything is made of it: a server can send anything, and wrong events are its fault."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson

_MOST_TOKENS = 2**31
"""More is no count; and sums of greater ones would not go into the record."""
_Kind = TypeVar("_Kind", str, list[Any], dict[str, Any])


class Malformed(Exception):
    """The event is no chunk of OpenAI's. The message names the part that is wrong, and has nothing of what stands in it."""


@dataclass(slots=True)
class Tokens:
    """What `usage` says."""

    prompt: int
    cached: int
    completion: int


@dataclass(slots=True)
class Chunk:
    is_listed: bool = False
    """`choices` is there."""
    has_choices: bool = False
    """And not empty."""
    text: str = ""
    has_call: bool = False
    """A piece of a tool call."""
    tokens: Tokens | None = None
    error: Any = field(default=None, repr=False)
    """Where there is one, nothing else was looked at."""


def chunk_of(payload: bytes) -> Chunk:
    """What follows `data:`. Raises `Malformed`."""
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
        raise Malformed("no JSON") from None
    return _object(found, "no object")


def _object(found: Any, name: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Malformed(name)
    return found


def _part(of: dict[str, Any], name: str, kind: type[_Kind]) -> _Kind:
    """Null is as good as absent: some servers write it."""
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
