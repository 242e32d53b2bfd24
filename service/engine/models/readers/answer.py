"""Reads a model's answer token by token: content, thoughts and tool calls. Streamed and whole answers come from the same reader.

The reader takes one token at a time, so it cannot matter in how many deltas the tokens arrived.
"""

from collections.abc import Sequence
from typing import Any, Literal

from service.engine.models.readers.format import AnswerFormat
from service.engine.models.readers.held_text import HeldText
from service.engine.models.readers.open_section import CallFilter, OpenSection
from service.engine.models.readers.parts import Call, Content, Dropped, End, Offered, Part, Thought
from service.engine.models.readers.section import CallSyntax
from service.engine.models.readers.speech import Speech, ThoughtText

Mode = Literal["content", "thought", "call"]

_MAX_READ_AGAIN = 50_000
"""Most characters that are read again after marks that were only mentioned. After so many, marks of calls are plain text."""


class AnswerReader:
    """Reads one answer."""

    def __init__(
        self,
        answer_format: AnswerFormat,
        offered: Offered,
        *,
        is_in_thought: bool = False,
        stops: Sequence[str] = (),
        min_tokens: int = 0,
    ) -> None:
        """`is_in_thought`: the prompt ended inside a thought. `min_tokens`: no stop string counts before so many tokens."""
        self._format = answer_format.for_turn(offered)
        self._offered = offered
        self._min_tokens = min_tokens
        self._speech = Speech(stops, follows_mark=is_in_thought)
        self._thoughts = ThoughtText()
        self._calls = CallFilter(offered)
        self._considered: list[Part] = []
        """Calls inside a thought. They are meant only if the answer ends with them: otherwise the model only considered them."""
        self._section: OpenSection | None = None
        self._held = HeldText()
        self._thought_tokens_held = 0
        self._is_mark = False
        self._read_again = 0
        self._parts: list[Part] = []
        self.mode: Mode = "thought" if is_in_thought else "content"
        self.tokens = 0
        self.thought_tokens = 0
        """Tokens inside thoughts, without those of the marks."""
        self.has_said = False
        self.has_called = False
        self.has_withheld = False
        """Whether a thought was kept out of the content, or a call was dropped."""

    @property
    def is_over(self) -> bool:
        """A stop string has ended the answer."""
        return self._speech.is_over

    def read(self, text: str, *, is_special: bool = False, token_id: int = 0) -> list[Part]:
        """Read one token: its text, and whether it is a special token of the vocabulary. Returns the parts that it completes."""
        self.tokens += 1
        self._parts = []
        if self.is_over:
            return []
        if is_special and not self._format.knows(text):
            text = ""
        was_thinking, self._is_mark = self._is_thinking, False
        self._held.add(text, is_special=is_special)
        self._read_on(None)
        if was_thinking:
            self._count_thought(text)
        return self._parts

    def finish(self, end: End) -> list[Part]:
        """End the answer. Returns the parts that were held back."""
        self._parts = []
        if not self.is_over:
            self._read_on(end)
            self._give(self._speech.rest(is_searched=self._is_searched))
            self._add_calls(self._considered)
            self.thought_tokens += self._thought_tokens_held
        return self._parts

    @property
    def _is_thinking(self) -> bool:
        return self.mode == "thought" or (self._section is not None and self._section.is_in_thought)

    def _count_thought(self, text: str) -> None:
        """Count the last token. It waits if it can belong to a mark."""
        self._thought_tokens_held += 1
        if self._is_mark:
            self._thought_tokens_held = 0
        elif self.mode == "thought" and (not self._held.text or len(self._held.text) < len(text)):
            self.thought_tokens += self._thought_tokens_held
            self._thought_tokens_held = 0

    def _read_on(self, end: End | None) -> None:
        is_more = True
        while is_more and not self.is_over:
            if self._section is not None:
                is_more = self._read_section(self._section, end)
            else:
                is_more = bool(self._held.text) and self._read_text(end)

    def _read_text(self, end: End | None) -> bool:
        """Read content, or a thought, up to the next mark. Returns whether there is one."""
        held = self._held.text
        pattern = self._format.thought_pattern if self.mode == "thought" else self._format.content_pattern
        match = pattern.search(held, partial=True)
        if match is None or (match.partial and end is not None):
            # Cut inside a mark: its beginning is no text. A single character can be either.
            is_mark = match is not None and end == "length" and len(held) - match.start() > 1
            self._add_text(self._held.take(match.start() if is_mark else len(held)))
            self._held = HeldText()
            return False
        self._add_text(self._held.take(match.start()))
        if not match.partial:
            self._read_mark(match)
        return not match.partial

    def _read_mark(self, match: Any) -> None:
        kind, thoughts, is_special = match.lastgroup, self._format.thoughts, self._held.has_special
        self._held.take(len(match[0]))
        if (opened := self._format.opened(kind)) is not None:
            self._open_section(match[0], *opened, is_special=is_special)
            return
        self._is_mark = True
        if kind == "thought":
            self.mode = "thought"
            self._thoughts.begin()
        elif kind == "close":
            self.mode = "content"
        if kind != "again":
            is_message = kind == "noise" and thoughts is not None and thoughts.is_message
            self._speech.mark(separator="\n" if is_message else "")

    def _open_section(self, mark: str, syntax: CallSyntax, is_bare: bool, *, is_special: bool) -> None:
        is_in_thought = self.mode == "thought"
        self._section = OpenSection(
            syntax.reader(mark, self._offered, is_bare=is_bare and not self._format.is_forced),
            self._calls,
            mark,
            self._format.after_stray(syntax),
            is_in_thought=is_in_thought,
            is_certain=self._format.is_forced or (is_special and not is_in_thought),
        )
        self.mode = "call"

    def _read_section(self, section: OpenSection, end: End | None) -> bool:
        """Returns whether the section is over."""
        progress = section.read(self._held.text, end)
        self._held.take(progress.consumed)
        if section.is_in_thought:
            self._considered += progress.parts
        elif progress.parts:
            self._forget_considered()
            self._add_calls(progress.parts)
        if progress.state == "more":
            return False
        self._section, self.mode = None, "thought" if section.is_in_thought else "content"
        if progress.state == "over":
            self._is_mark, self._thought_tokens_held = True, 0
            if not section.is_in_thought:
                self._speech.mark()
            return True
        # The mark is text after all. Without a mark, the first character is: the section must not begin at the same place again.
        self._held.put_back(section.mark + section.text)
        self._read_again += len(self._held.text)
        if self._read_again > _MAX_READ_AGAIN:
            self._format = self._format.without_calls
        self._add_text(self._held.take(len(section.mark) or 1))
        return True

    def _add_calls(self, parts: Sequence[Part]) -> None:
        for part in parts:
            self._parts.append(part)
            self.has_called = self.has_called or isinstance(part, Call)
            self.has_withheld = self.has_withheld or isinstance(part, Dropped)

    def _forget_considered(self) -> None:
        if self._considered:
            self._considered, self._calls = [], CallFilter(self._offered)

    def _add_text(self, text: str) -> None:
        if text.strip():
            self._forget_considered()
        if self.mode == "thought":
            if thought := self._thoughts.think(text):
                self.has_withheld = True
                self._parts.append(Thought(thought))
        elif not self._format.is_forced:
            self._give(self._speech.say(text, is_searched=self._is_searched))
        elif text.strip():
            self.has_withheld = True

    @property
    def _is_searched(self) -> bool:
        return self.tokens > self._min_tokens

    def _give(self, text: str) -> None:
        if text:
            self.has_said = True
            self._parts.append(Content(text))
