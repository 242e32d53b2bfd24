"""Measures when a turn has its first word and its first sentence. A voice can start to speak with the first sentence."""

import re
import time

from service.domain import ChoiceFinished, Finished, Step, TextDelta, ToolCallDelta

# A sentence ends at a mark followed by white space, at a mark that needs no white space, or at a new line. It does not end after
# a title, a single letter (e.g., p.m.) or a bare number, which begins a list. It does not end before its first word. A voice
# platform may split sentences in another way, but this is close enough to measure how early it can start. The expression looks
# for the mark first, because most positions have none.
_NO_END = r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bProf)(?<!\b[A-Za-z])(?<!^\d)(?<!^\d\d)"
_BEFORE_SPACE, _ALONE = ".!?…؟۔।", "。！？｡\n"
_END = re.compile(rf"""(?=[{_BEFORE_SPACE}]){_NO_END}[{_BEFORE_SPACE}]["'”’»)\]]*\s|[{_ALONE}]""")
_WORD = re.compile(r"\w")
_MARKS = frozenset(_BEFORE_SPACE + _ALONE)
"""Marks that can end a sentence. Most pieces have none, and this set is the fastest way to find that out."""
_LOOK_BACK = 16
"""Characters before a new piece in which a sentence end (a mark and closing quotes) may begin that the piece completes."""
_LONGEST = 1000
"""Characters after which the text counts as a sentence even without an end. A voice speaks by then."""


class SpeechTimer:
    """Observes one turn's steps until its first sentence is complete. Times are monotonic seconds. None means not yet."""

    __slots__ = ("_marks_to", "_text", "first_sentence_s", "first_word_s", "is_done")

    def __init__(self) -> None:
        self.first_word_s: float | None = None
        self.first_sentence_s: float | None = None
        self.is_done = False
        """Whether nothing more is to be measured. Further steps need not be observed."""
        self._text = ""
        """The first sentence so far, from its first character that is not white space."""
        self._marks_to = -_LOOK_BACK - 1
        """Position in `_text` where the last piece with a mark ends."""

    def observe(self, step: Step) -> None:
        """Observe a step. Text and tool calls count as a first word, reasoning does not. Sentences are the first choice's."""
        for event in step:
            if isinstance(event, TextDelta) and event.text:
                self.first_word_s = self.first_word_s or time.monotonic()
                if event.index == 0 and self._ends_with(event.text):
                    return self._end()
            elif isinstance(event, ToolCallDelta):
                self.first_word_s = self.first_word_s or time.monotonic()
                return self._end()
            elif isinstance(event, Finished) or (isinstance(event, ChoiceFinished) and event.index == 0 and self._text):
                return self._end()
        return None

    def _ends_with(self, piece: str) -> bool:
        """Return whether the piece completes the sentence. Only the new part is searched, so a long sentence stays cheap."""
        old = len(self._text)
        self._text = self._text + piece if old else piece.lstrip()
        if len(self._text) > _LONGEST:
            return True
        if not _MARKS.isdisjoint(piece):
            self._marks_to = len(self._text)
        if self._marks_to < old - _LOOK_BACK:
            return False
        word = _WORD.search(self._text)
        return word is not None and _END.search(self._text, max(word.start(), old - _LOOK_BACK)) is not None

    def stamp(self) -> None:
        """Set the times measured so far to now. For an answer that is not streamed: the caller gets all of it at once."""
        now_s = time.monotonic()
        self.first_word_s = self.first_word_s and now_s
        self.first_sentence_s = self.first_sentence_s and now_s

    def _end(self) -> None:
        """End the measurement. The text so far, if any, is the first sentence."""
        self.is_done = True
        if self._text:
            self.first_sentence_s = time.monotonic()
        self._text = ""
