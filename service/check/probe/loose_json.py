"""Lenient JSON reading. What cannot be read is None: other checks report faults of form."""

import json
from typing import Any


def parse(text: bytes | str) -> Any:
    """The parsed document. None if it is not JSON, or is nested too deeply for Python."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def value_at(document: Any, *path: str | int) -> Any:
    """The value at a path: `value_at(answer, "choices", 0, "message")`. None if the path does not exist."""
    for step in path:
        try:
            document = document[step]
        except (LookupError, TypeError):
            return None
    return document
