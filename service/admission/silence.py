"""How long an engine that had turns has said nothing."""


class Silence:
    """Only a step ends it: turns that are given up on a hung engine, and come again, don't hide the hang. Monotonic seconds."""

    def __init__(self) -> None:
        self._before_s = 0.0
        """Of the present silence, while there were turns, up to when there were none."""
        self._busy_since_s: float | None = None

    def busy(self, now_s: float) -> None:
        """The engine has its first turn."""
        self._busy_since_s = now_s

    def idle(self, now_s: float) -> None:
        """Its last turn has left."""
        self._before_s = self.lasts_s(now_s)
        self._busy_since_s = None

    def stepped(self, at_s: float) -> None:
        self._before_s = 0.0
        if self._busy_since_s is not None:
            self._busy_since_s = at_s

    def lasts_s(self, now_s: float) -> float:
        since_s = self._busy_since_s
        return self._before_s + (0.0 if since_s is None else now_s - since_s)
