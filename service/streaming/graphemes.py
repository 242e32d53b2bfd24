"""Where a stream may be cut. A voice (and a screen) must not get half of what is read as one sign: after a zero-width
joiner the sign goes on, and two regional indicators make one flag (Unicode Standard Annex 29, rules GB11 and GB12).

Code points are never split before this: vLLM's detokenizer holds half of one back.
"""

import unicodedata

from service.domain import TextDelta

_JOINER = "\u200d"
_INDICATORS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
# Unicode's combining marks: variation selectors are among them, skin tones are not.
_MARKS = frozenset({"Mn", "Mc", "Me"})
# Twice the longest that is in use: a model that joins for ever must not be waited for.
_LONGEST_SIGN = 24


class Holdback:
    """Keeps back, per choice, the little at the end of a delta that is not yet whole."""

    def __init__(self) -> None:
        self._held: dict[int, str] = {}

    @property
    def is_holding(self) -> bool:
        return bool(self._held)

    def pass_on(self, delta: TextDelta) -> str:
        """What may leave of what is held and what has come."""
        text = self._held.pop(delta.index, "") + delta.text
        tail = _unfinished_tail(text)
        if not tail:
            return text
        self._held[delta.index] = text[-tail:]
        return text[:-tail]

    def release(self, index: int) -> str:
        """What is held, now that nothing more comes."""
        return self._held.pop(index, "")


def _unfinished_tail(text: str) -> int:
    """Characters at the end that wait for the next: a trailing joiner with all that it joins, or an odd regional indicator."""
    joined = _joined_tail(text[-_LONGEST_SIGN:])
    return joined + _odd_indicator(text[: len(text) - joined])


def _joined_tail(text: str) -> int:
    """The length of the sign that a trailing joiner goes on with: its base, what modifies it, and what was joined before."""
    start = len(text)
    while start and text[start - 1] == _JOINER:
        start -= 1
        while start and _modifies(text[start - 1]):
            start -= 1
        start = max(start - 1, 0)
    return len(text) - start


def _modifies(char: str) -> bool:
    return unicodedata.category(char) in _MARKS or "\U0001f3fb" <= char <= "\U0001f3ff"


def _odd_indicator(text: str) -> int:
    """1 where the text ends in half of a flag, else 0."""
    return (len(text) - len(text.rstrip(_INDICATORS))) % 2
