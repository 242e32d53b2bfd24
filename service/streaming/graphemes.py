"""Decides where a stream may be split. A voice or a screen must not get half of a grapheme, which is read as one character.

After a zero-width joiner a grapheme continues, and two regional indicators make one flag (Unicode Standard Annex 29, rules GB11
and GB12). Code points are never split, because vLLM's detokenizer holds back an incomplete one.
"""

import unicodedata

from service.domain import TextDelta

_JOINER = "\u200d"
_INDICATORS = "".join(map(chr, range(0x1F1E6, 0x1F200)))
# Unicode's combining marks. They include variation selectors, but not skin tones.
_MARKS = frozenset({"Mn", "Mc", "Me"})
# In characters: twice the longest grapheme in use. A model that joins without end must not hold its stream back.
_LONGEST_GRAPHEME = 24


class Holdback:
    """Holds back, for each choice, the end of a delta that is not yet a whole grapheme."""

    def __init__(self) -> None:
        self._held: dict[int, str] = {}

    @property
    def is_holding(self) -> bool:
        return bool(self._held)

    def pass_on(self, delta: TextDelta) -> str:
        """Return the part of the held text and the new delta that can be sent."""
        text = self._held.pop(delta.index, "") + delta.text
        tail = _unfinished_tail(text)
        if not tail:
            return text
        self._held[delta.index] = text[-tail:]
        return text[:-tail]

    def release(self, index: int) -> str:
        """Return the held text of a choice that has ended."""
        return self._held.pop(index, "")


def _unfinished_tail(text: str) -> int:
    """Return how many characters at the end must wait: a trailing joiner with all that it joins, or an odd regional indicator."""
    joined = _joined_tail(text[-_LONGEST_GRAPHEME:])
    return joined + _odd_indicator(text[: len(text) - joined])


def _joined_tail(text: str) -> int:
    """Return the length of the grapheme that a trailing joiner continues: base, modifiers, and all that was joined before."""
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
    """Return 1 if the text ends in half of a flag, otherwise 0."""
    return (len(text) - len(text.rstrip(_INDICATORS))) % 2
