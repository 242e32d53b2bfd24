"""Stop strings. They end content; a thought or a tool call is never searched for them."""

from collections.abc import Sequence

import regex


class StopFinder:
    """Finds the stop string that is complete first, in text that grows. Holds back only what can be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._pattern = regex.compile("|".join(map(regex.escape, self._stops))) if self._stops else None
        self.held = ""
        self.is_found = False

    def pass_on(self, text: str, *, is_searched: bool = True) -> str:
        """Return the text that can be given now. After a stop string, nothing is given."""
        if self.is_found:
            return ""
        text = self.held + text
        match = self._pattern.search(text, partial=True) if self._pattern is not None and is_searched else None
        if match is None:
            self.held = ""
            return text
        if match.partial:
            self.held = text[match.start() :]
            return text[: match.start()]
        self.is_found = True
        # With "bc" and "abcd", the text "abc" ends at "bc", also if the "d" comes with the same token.
        ends = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        return text[: min(ends)[1]]

    def rest(self) -> str:
        """Return what is held, at the end of the text."""
        held, self.held = self.held, ""
        return held
