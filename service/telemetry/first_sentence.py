"""What a caller's ear gets: the first word, and the first sentence, with which a voice can start to speak."""

import re
import time

from service.domain import ChoiceFinished, Finished, Step, TextDelta, ToolCallDelta

# A sign that ends a sentence and space after it, or a sign that needs none, or a new line. Not after a title, a single letter
# (e.g., p.m.), nor a bare number, which begins a list; and not before there is a word. What a voice platform takes for a sentence
# is its own affair; this is near enough to tell how early it can. The sign is looked for first: most places have none.
_NO_END = r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bProf)(?<!\b[A-Za-z])(?<!^\d)(?<!^\d\d)"
_BEFORE_SPACE, _ALONE = ".!?…؟۔।", "。！？｡\n"
_END = re.compile(rf"""(?=[{_BEFORE_SPACE}]){_NO_END}[{_BEFORE_SPACE}]["'”’»)\]]*\s|[{_ALONE}]""")
_WORD = re.compile(r"\w")
_SIGNS = frozenset(_BEFORE_SPACE + _ALONE)
"""Most pieces have none, and this is the quickest way to tell."""
_LOOK_BACK = 16
"""Characters before a new piece in which an end may begin that it completes: a sign and closing quotes."""
_LONGEST = 1000
"""Characters without an end of a sentence: by then a voice speaks all the same."""


class SpeechTimer:
    """Listens to one turn's steps until its first sentence is whole. Times are monotonic seconds; None: not yet."""

    __slots__ = ("_signs_to", "_text", "first_sentence_s", "first_word_s", "is_done")

    def __init__(self) -> None:
        self.first_word_s: float | None = None
        self.first_sentence_s: float | None = None
        self.is_done = False
        """Nothing more is to be heard: steps need no longer be shown."""
        self._text = ""
        """Of the first sentence so far, from its first character that is no space."""
        self._signs_to = -_LOOK_BACK - 1
        """Where in it the last piece with a sign ends."""

    def hear(self, step: Step) -> None:
        """Text counts, and a call that something else answers: a thought is shown at most. Sentences are the first choice's."""
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
        """Whether the sentence is whole with it. Looks at what is new: a sentence of a thousand tokens costs each the same."""
        old = len(self._text)
        self._text = self._text + piece if old else piece.lstrip()
        if len(self._text) > _LONGEST:
            return True
        if not _SIGNS.isdisjoint(piece):
            self._signs_to = len(self._text)
        if self._signs_to < old - _LOOK_BACK:
            return False
        word = _WORD.search(self._text)
        return word is not None and _END.search(self._text, max(word.start(), old - _LOOK_BACK)) is not None

    def hear_now(self) -> None:
        """All that there was to hear is heard only now."""
        now_s = time.monotonic()
        self.first_word_s = self.first_word_s and now_s
        self.first_sentence_s = self.first_sentence_s and now_s

    def _end(self) -> None:
        """What has been said until now is all that a voice gets to begin with."""
        self.is_done = True
        if self._text:
            self.first_sentence_s = time.monotonic()
        self._text = ""
