"""Decides how a stream is split into frames (SSE events).

A voice speaks about four tokens a second. So after the first word a stream does not need one frame for each token, and each
frame costs a wake-up and a system call. While the event loop has time to spare, each token is sent as it comes. When the event
loop gets busy, a stream waits after each frame until a short window ends. vLLM's AsyncLLM merges the stream's deltas meanwhile
(this is public behaviour), and the next frame has all of them. This saves wake-ups, and the work to read and encode each delta.
All streams wait for the end of the same window. So one timer is enough, and their frames are sent together.
"""

import asyncio
import time
from collections.abc import Callable

from service.domain import EngineStep
from service.errors import InvalidRequest

FRAMES_HEADER = "x-firstword-frames"
FRAMES = _EACH_TOKEN, _ADAPTIVE = "token", "adaptive"

_LOOK_S = 0.25
"""Seconds between two measurements of how busy the event loop is."""
_FULL, _FREE = 0.15, 0.075
"""Shares of one processor that the event loop uses. Above `_FULL` the window grows, and below `_FREE` it shrinks.

A window removes up to a third of the load. So at a load just above `_FULL`, the window opens partly and then stays the same.
"""
_FIRST_S, _FACTOR = 0.005, 1.5
"""Length of the first window in seconds, and the factor by which a window grows or shrinks."""


def wants_each_token(asked: str | None) -> bool:
    """Return whether a request's header asks for one frame per token (`token`). The default is `adaptive`.

    Raises `InvalidRequest` for any other value.
    """
    asked = asked and asked.strip()  # White space around a header's value is not part of it (RFC 9110, 5.5).
    if asked not in (None, _EACH_TOKEN, _ADAPTIVE):
        raise InvalidRequest(f"{FRAMES_HEADER} must be {_EACH_TOKEN} or {_ADAPTIVE}.", param=FRAMES_HEADER, code="invalid_value")
    return asked == _EACH_TOKEN


class Frames:
    """The current window in which text is gathered. All streams of an event loop share it."""

    def __init__(self, *, longest_s: float, cpu_s: Callable[[], float] = time.thread_time) -> None:
        """`longest_s` is the longest window in seconds. 0 gives every token its own frame.

        `cpu_s` returns the processor time that the event loop's thread has used so far, in seconds.
        """
        self.window_s = 0.0
        """Seconds from one frame of a stream to its next. 0 means that tokens are sent as they come."""
        self._longest_s = longest_s
        self._cpu_s = cpu_s
        self._last: tuple[float, float] | None = None
        self._window_ends: asyncio.Event | None = None
        """Is set when the open window ends. None between windows."""

    async def gather(self) -> None:
        """Wait after a frame until the window ends. The engine merges the stream's tokens meanwhile."""
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
        """Adapt the window to the event loop's load. Called on the event loop after each step of the engine.

        While the engine is idle, the window keeps its length. That delays no stream, because none is running.
        """
        if self._last is None or step.at_s - self._last[0] > 4 * _LOOK_S:
            self._last = step.at_s, self._cpu_s()  # The engine was idle before this step.
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
