"""JSON text of tool calls: reads it, mends what models write wrong, and writes it as strict JSON (RFC 8259)."""

import ast
import json
import math
from contextlib import suppress
from typing import Any

import regex
from json_repair import repair_json

MAX_DEPTH = 64
"""Deepest nesting of arguments, as in `normalize.tool_history`. Deeper values can break code that walks them."""
_MAX_MENDING = 2_000_000
"""Most work for the general mender, in characters times brackets: its time grows with their product. This much takes 0.2 s."""
_HALF_CHARACTER = regex.compile("[\ud800-\udfff]")
_UNKNOWN_ESCAPE = regex.compile(r"\\(?:([\\'\"abfnrtvxuUN0-7\n])|)")


def dump_object(value: dict[str, Any]) -> str | None:
    """Return an object as strict JSON. None if it is nested too deeply. Half characters become U+FFFD."""
    try:
        text = json.dumps(_finite(value, 0), ensure_ascii=False, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return None
    return str(_HALF_CHARACTER.sub("\ufffd", text))


def _finite(value: Any, depth: int) -> Any:
    """JSON has neither NaN nor infinity: they become null. Raises `ValueError` for a value that is nested too deeply."""
    if depth > MAX_DEPTH:
        raise ValueError
    if isinstance(value, dict):
        return {str(key): _finite(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def load_value(text: str) -> Any:
    """Return the value of JSON text. Raises `ValueError` if it is not JSON; NaN, Infinity and bare line breaks are read."""
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        raise ValueError from None


def load_object(text: str) -> dict[str, Any] | None:
    """Return the object that the text means, mended if necessary. None if no object can be made of it.

    Mended are: a missing closing bracket, a trailing comma, single quotes, Python's literals.
    """
    if (value := read_object(text)) is not None or len(text) * (text.count("{") + text.count("[")) > _MAX_MENDING:
        return value
    try:
        mended = repair_json(text, return_objects=True, skip_json_loads=True)
    except (ValueError, RecursionError, IndexError, KeyError, TypeError):
        return None
    return mended if isinstance(mended, dict) else None


def read_object(text: str) -> dict[str, Any] | None:
    """Return the object that is written in JSON or in Python. None if the text is neither."""
    value: Any = None
    try:
        value = load_value(text)
    except ValueError:
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            value = ast.literal_eval(escaped_for_python(text.strip()))
    return value if isinstance(value, dict) else None


def escaped_for_python(text: str) -> str:
    r"""Double the backslashes that begin no escape of Python's, as in `\d`: its compiler warns of them."""
    return str(_UNKNOWN_ESCAPE.sub(lambda found: found[0] if found[1] else "\\\\", text))
