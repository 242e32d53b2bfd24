"""Repairs unpaired surrogates in a request's JSON: an escape like `\\ud83d` without its other half.

JavaScript cuts strings by UTF-16 units. So a client that shortens a text can cut an emoji in two and send one half. UTF-8 cannot
encode it, and the JSON parser refuses the whole body. Here it becomes U+FFFD, as in JavaScript's `TextEncoder`.
"""

import re

_UNIT = rb"\\u[dD]"
# An escape begins at an odd backslash: `\\ud83d` is a backslash and the letters "ud83d". A run of backslashes is matched from its
# beginning, so every byte is read a bounded number of times.
_SURROGATES = re.compile(
    rb"(?<!\\)(?P<backslashes>(?:\\\\)*)"
    rb"(?:(?P<pair>" + _UNIT + rb"[89abAB][0-9a-fA-F]{2}" + _UNIT + rb"[c-fC-F][0-9a-fA-F]{2})"
    rb"|" + _UNIT + rb"[89a-fA-F][0-9a-fA-F]{2})"
)


def repair(body: bytes) -> bytes | None:
    """Return the body with each unpaired surrogate replaced. None if it has none.

    It does not parse the JSON, so it takes linear time and the nesting does not matter.
    """
    repaired = _SURROGATES.sub(_replacement, body)
    return repaired if repaired != body else None


def _replacement(match: re.Match[bytes]) -> bytes:
    return match[0] if match["pair"] else match["backslashes"] + rb"\ufffd"
