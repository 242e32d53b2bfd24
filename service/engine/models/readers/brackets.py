"""Bracketed values in text that grows: where one ends, and what there is of one that was cut."""

from collections.abc import Callable, Iterable
from typing import Any

import regex

from service.engine.models.readers.json_text import MAX_DEPTH, dump_object

ValueParser = Callable[[str], dict[str, Any] | None]
"""Text of a bracketed value -> the arguments' object, or None if none can be made of it."""
_CLOSERS = {"{": "}", "[": "]", "(": ")"}
_CUT = "\ue000"
"""Stands where the text was cut. A private character: no tokenizer's text has it."""
_HALF_ESCAPE = regex.compile(r"(?<!\\)(?P<whole>(?:\\\\)*)(?:\\u[dD][89abAB][\da-fA-F]{2})?(?:\\(?:u[\da-fA-F]{0,3})?)?$")


class BracketScanner:
    """Finds the end of a bracketed value in text that grows. Brackets and marks inside strings do not count.

    Each character is looked at once, whatever the number of tokens in which it came.
    """

    def __init__(self, marks: Iterable[str], *, quotes: tuple[str, ...] = ('"', "'")) -> None:
        """`marks` end a value also where brackets are still open. Quotes of one character have backslash escapes."""
        self._quotes = quotes
        self._marks = tuple(marks)
        self._longest = max(map(len, self._marks), default=0)
        words = [regex.escape(word) for word in sorted({*quotes, *self._marks}, key=len, reverse=True)]
        self._token = regex.compile("|".join([*words, r"[\[\](){},]", r"\\."]), regex.DOTALL)
        self.reset()

    def reset(self) -> None:
        """Begin a new value, at the beginning of the text."""
        self._at = 0
        self._open: list[str] = []
        self.quote = ""
        """The quote of the string that is open."""
        self.last_comma: int | None = None
        """Position of the last comma between two members of the value itself."""
        self.mark_in_string: int | None = None
        """Position of the first mark inside a string. It is the value's end if the string is never closed."""

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    @property
    def missing(self) -> str:
        """What would end the value here: the quote of an open string, and the closing brackets."""
        return self.quote + "".join(reversed(self._open))

    def end(self, text: str) -> int | None:
        """Return the end of the value: behind its last bracket, or before a mark. None if it is not in the text yet."""
        while True:
            token = self._token.search(text, self._at, partial=True)
            if token is None:
                self._at = len(text)
                return None
            self._at = token.start()
            if token.partial or self._can_be_mark(text[self._at : self._at + self._longest]):
                return None
            self._at = token.end()
            if (found := self._take(token[0], token.start())) is not None:
                return found

    def _can_be_mark(self, text: str) -> bool:
        """Return whether this end of the text is the beginning of a mark. A bracket can be one."""
        return len(text) < self._longest and any(mark != text and mark.startswith(text) for mark in self._marks)

    def _take(self, word: str, at: int) -> int | None:
        if self.quote:
            if word == self.quote:
                self.quote = ""
            elif word in self._marks and self.mark_in_string is None:
                self.mark_in_string = at
            elif len(self.quote) > 1 and word[0] == "\\":
                self._at = at + 1  # No escapes between quotes of several characters.
        elif word in self._quotes:
            self.quote = word
        elif word in self._marks:
            return at
        elif word == ",":
            self.last_comma = at if len(self._open) == 1 else self.last_comma
        elif word in _CLOSERS:
            self._open.append(_CLOSERS[word])
        elif word in self._open[-MAX_DEPTH:]:
            while self._open.pop() != word:  # A missing bracket inside: the outer one closes it too.
                pass
            if not self._open:
                return at + len(word)
        return None


def cut_arguments(text: str, parse: ValueParser, quotes: tuple[str, ...] = ('"', "'")) -> str:
    """Return the beginning of the arguments' JSON text, from the beginning of a bracketed value.

    It ends inside an open string, or after the last member that is whole.
    """
    scanner = BracketScanner((), quotes=quotes)
    if (end := scanner.end(text)) is not None:
        return _json(parse(text[:end]))
    if scanner.quote:
        whole = _json(parse(_without_half(text, scanner.quote) + _CUT + scanner.missing))
        if _CUT in whole:
            return whole[: whole.index(_CUT)]
    if scanner.last_comma is None:
        return ""
    return _json(parse(text[: scanner.last_comma] + scanner.missing[-1]))[:-1]


def _json(value: dict[str, Any] | None) -> str:
    return (dump_object(value) if value is not None else None) or ""


def _without_half(text: str, quote: str) -> str:
    """Return text without half an escape, half a pair of surrogates, or half a closing quote at its end."""
    if len(quote) == 1:
        return str(_HALF_ESCAPE.sub(r"\g<whole>", text, count=1))
    half = next((size for size in range(len(quote) - 1, 0, -1) if text.endswith(quote[:size])), 0)
    return text[: len(text) - half]
