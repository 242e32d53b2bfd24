"""How a stream is cut into frames. A voice speaks about four tokens a second, so beyond the first word it needs no frame for
each; and each costs a wake-up and a system call. While the event loop has time to spare, every token leaves as it comes. As
it fills, text is gathered for a short window, by the engine itself where it can: with the frames, the wake-ups go too, and all
that is done to make a step's output. All streams wait for the same moment, so that one timer does for all and their frames leave
together.
"""

import asyncio
import time
from collections.abc import Callable

from service.domain import EngineStep
from service.errors import InvalidRequest

FRAMES_HEADER = "x-firstword-frames"
FRAMES = _EACH_TOKEN, _ADAPTIVE = "token", "adaptive"

_LOOK_S = 0.25
"""How often the loop's business is looked at."""
_FULL, _FREE = 0.15, 0.075
"""Shares of a processor that the loop uses: above the first the window grows, below the second it shrinks. A window takes up
to a third of the load away: at a load just above the first it opens in part, and stays.
"""
_FIRST_S, _FACTOR = 0.005, 1.5


def wants_each_token(asked: str | None) -> bool:
    """What a request says of its frames: `token`, or `adaptive` as by default. Raises `InvalidRequest`."""
    asked = asked and asked.strip()  # Blanks around it are no part of a header's value (RFC 9110, 5.5).
    if asked not in (None, _EACH_TOKEN, _ADAPTIVE):
        raise InvalidRequest(f"{FRAMES_HEADER} must be {_EACH_TOKEN} or {_ADAPTIVE}.", param=FRAMES_HEADER, code="invalid_value")
    return asked == _EACH_TOKEN


class Frames:
    """The window by which text is gathered now; one for all streams of an event loop."""

    def __init__(self, *, longest_s: float, cpu_s: Callable[[], float] = time.thread_time) -> None:
        """`longest_s`: the window at most; 0: every token has a frame. `cpu_s`: processor time of the loop's thread so far."""
        self.window_s = 0.0
        """Seconds from one frame of a stream to its next; 0: as tokens come."""
        self._longest_s = longest_s
        self._cpu_s = cpu_s
        self._last: tuple[float, float] | None = None
        self._window_ends: asyncio.Event | None = None
        """Of the open window; None between windows."""

    async def gather(self) -> None:
        """After a frame of a stream: wait for the moment of the next. Meanwhile the engine merges the stream's tokens."""
        if not self.window_s:
            return
        if self._window_ends is None:
            self._window_ends = asyncio.Event()
            asyncio.get_running_loop().call_later(self.window_s, self._end_window, self._window_ends)
        await self._window_ends.wait()

    def _end_window(self, ends: asyncio.Event) -> None:
        self._window_ends = None
        ends.set()

    def on_step(self, step: EngineStep) -> None:
        """Listens to the engine, on the loop: an engine at rest leaves the window as it was, which costs nobody anything."""
        if self._last is None or step.at_s - self._last[0] > 4 * _LOOK_S:
            self._last = step.at_s, self._cpu_s()  # It was at rest.
            return
        if step.at_s - self._last[0] < _LOOK_S:
            return
        (since_s, cpu_before_s), cpu_now_s = self._last, self._cpu_s()
        self._last = step.at_s, cpu_now_s
        self._adapt((cpu_now_s - cpu_before_s) / (step.at_s - since_s))

    def _adapt(self, busy: float) -> None:
        if busy > _FULL:
            self.window_s = min(self._longest_s, max(_FIRST_S, self.window_s * _FACTOR))
        elif busy < _FREE:
            shorter_s = self.window_s / _FACTOR
            self.window_s = 0.0 if shorter_s < _FIRST_S else shorter_s
