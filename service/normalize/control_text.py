"""The rule that keeps the text of a message from becoming a control token or the start of a turn."""

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from service.domain import Message, ToolCall
from service.normalize.context import Context, Messages

_BREAK = "\u200b"
"""A zero-width space. It is not shown or spoken, and no Unicode normalization joins the characters around it."""


def control_text(messages: Messages, context: Context) -> Messages:
    """Text that is a special token of the model or a mark of its template, such as `<start_of_turn>` or `[INST]`, is broken
    by a zero-width space (U+200B) after its first character. Applies to content, reasoning, names, ids, and the names and
    arguments of calls. Otherwise a caller's words could end their own turn and begin another. Case and Unicode forms do not
    matter.
    """
    marks = context.traits.control_marks
    if not marks:
        return messages
    broken = _breaker(marks)
    return tuple(_with_text(message, broken.broken) for message in messages)


def _with_text(message: Message, broken: Callable[[str], str]) -> Message:
    return replace(
        message,
        content=broken(message.content),
        reasoning=broken(message.reasoning),
        name=message.name and broken(message.name),
        tool_call_id=message.tool_call_id and broken(message.tool_call_id),
        tool_calls=tuple(
            ToolCall(broken(call.id), broken(call.name), _arguments(call.arguments, broken)) for call in message.tool_calls
        ),
    )


def _arguments(arguments: str, broken: Callable[[str], str]) -> str:
    """Return JSON text with broken keys and values. The text itself could hide a mark in escapes, such as `\\u003c` or `\\/`.

    `call_arguments` must have been applied, so the text is an object of limited depth.
    """
    if "\\" not in arguments and broken(arguments) is arguments:
        return arguments
    given = json.loads(arguments)
    made = _value(given, broken)
    return arguments if made == given else json.dumps(made, ensure_ascii=False)


def _value(value: Any, broken: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return broken(value)
    if isinstance(value, dict):
        return {broken(key): _value(child, broken) for key, child in value.items()}
    if isinstance(value, list):
        return [_value(child, broken) for child in value]
    return value


@lru_cache(maxsize=16)  # A vocabulary can have thousands of marks. There is one set for each template that is served.
def _breaker(marks: frozenset[str]) -> "_Breaker":
    return _Breaker(marks)


class _Breaker:
    """Finds marks in a text.

    The time is linear in the text's length, whatever the number of marks: at a place where two characters begin a mark, it looks
    up one piece of the text for each length of such marks. A mark is compared in its folded form (NFKC and lower case), because a
    tokenizer may normalize a text before it looks for added tokens.
    """

    def __init__(self, marks: Iterable[str]) -> None:
        self._marks = {folded for mark in marks if len(folded := _folded(mark).strip()) > 1}
        lengths: defaultdict[str, set[int]] = defaultdict(set)
        for mark in self._marks:
            lengths[mark[:2]].add(len(mark))
        self._lengths: Mapping[str, Sequence[int]] = {start: sorted(found) for start, found in lengths.items()}
        self._alphabet = frozenset("".join(self._marks))
        self._starts = re.compile(_any_of(self._lengths))

    def broken(self, text: str) -> str:
        """Return the text without any mark. It is the same object if there is none."""
        if not text:
            return text
        folded, places = self._folded(text)
        starts = [match.start() for match in self._starts.finditer(folded) if self._is_mark(folded, match.start())]
        if not starts:
            return text
        ends = dict.fromkeys(1 + (start if places is None else places[start]) for start in starts)
        return _BREAK.join(text[begin:end] for begin, end in pairwise((0, *ends, len(text))))

    def _is_mark(self, folded: str, start: int) -> bool:
        return any(folded[start : start + length] in self._marks for length in self._lengths[folded[start : start + 2]])

    def _folded(self, text: str) -> tuple[str, Sequence[int] | None]:
        """Return the folded text, and the place in `text` of each of its characters; None if they have the same places."""
        if text.isascii():
            return text.lower(), None
        # A character that folds to nothing of a mark cannot be part of one, so it need not be folded.
        table = {char: made for char in set(text) if (made := _folded(char)) != char and not self._alphabet.isdisjoint(made)}
        if all(len(made) == 1 for made in table.values()):
            return text.translate({ord(char): made for char, made in table.items()}), None
        chars = [table.get(char, char) for char in text]
        return "".join(chars), [place for place, made in enumerate(chars) for _ in made]


def _any_of(starts: Iterable[str]) -> str:
    """Return a pattern for the places where a mark may begin. It matches one character, so that no place is skipped."""
    seconds: defaultdict[str, list[str]] = defaultdict(list)
    for start in sorted(starts):
        seconds[start[0]].append(start[1])
    return "|".join(f"{re.escape(first)}(?=[{''.join(map(re.escape, chars))}])" for first, chars in seconds.items()) or "(?!)"


@lru_cache(maxsize=4096)
def _folded_char(char: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).lower()).replace("▁", " ")


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else "".join(map(_folded_char, text))
