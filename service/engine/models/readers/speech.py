"""The text of an answer on its way out: content, which stop strings can end, and thoughts."""

from collections.abc import Sequence

from service.engine.models.readers.stops import StopFinder


class Speech:
    """Content. White space beside a mark belongs to the mark, at the beginning and at the end of the content."""

    def __init__(self, stops: Sequence[str], *, follows_mark: bool) -> None:
        """`follows_mark`: a mark stands before the first text, as the end of a thought."""
        self._stops = StopFinder(stops)
        self._follows_mark = follows_mark
        self._has_text = False
        self._space: list[str] = []

    @property
    def is_over(self) -> bool:
        """A stop string has ended the content."""
        return self._stops.is_found

    def mark(self, *, separator: str = "") -> None:
        """A mark stands here. `separator`, if any, stands for it and for the white space before it, between two texts."""
        self._follows_mark = True
        if not self._has_text:
            self._space = []
        elif separator:
            self._space = [separator]

    def say(self, text: str, *, is_searched: bool) -> str:
        """Take text, and return what can be given. White space waits for the text after it. `is_searched`: for stop strings."""
        if self._follows_mark and not self._has_text:
            text = text.lstrip()
        body = text.rstrip()
        space = text[len(body) :]
        given = ""
        if body:
            self._follows_mark, self._has_text = False, True
            given = self._stops.pass_on("".join([*self._space, body]), is_searched=is_searched)
            self._space = []
        if space:
            self._space.append(space)
        return given

    def rest(self, *, is_searched: bool) -> str:
        """Return what is held, at the end of the answer."""
        space = "" if self._follows_mark else "".join(self._space)
        given = self._stops.pass_on(space, is_searched=is_searched)
        return given if self.is_over else given + self._stops.rest()


class ThoughtText:
    """Thoughts, without white space at the beginning and the end of each. Two thoughts are separated by a line break."""

    def __init__(self) -> None:
        self._space: list[str] = []
        self._is_begun = self._has_text = False

    def begin(self) -> None:
        """A thought begins here."""
        self._space, self._is_begun = [], False

    def think(self, text: str) -> str:
        """Take text, and return what can be given. White space waits for the text after it."""
        if not self._is_begun:
            text = text.lstrip()
        body = text.rstrip()
        given = ""
        if body:
            separator = "\n" if self._has_text and not self._is_begun else ""
            given, self._space = separator + "".join([*self._space, body]), []
            self._is_begun = self._has_text = True
        if self._is_begun and len(body) < len(text):
            self._space.append(text[len(body) :])
        return given
