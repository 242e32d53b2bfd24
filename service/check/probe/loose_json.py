"""JSON of any server's, as far as it can be read: what cannot is None, since other checks tell of its form."""

import json
from typing import Any


def parse(text: bytes | str) -> Any:
    """None where it is no JSON, or nested so deeply that Python does not read it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def value_at(document: Any, *path: str | int) -> Any:
    """`value_at(answer, "choices", 0, "message")`; None where the way ends earlier."""
    for step in path:
        try:
            document = document[step]
        except (LookupError, TypeError):
            return None
    return document
