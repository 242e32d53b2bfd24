"""Distinguishes a hung engine, or a blocked event loop, from a slow one.

The watchdog has its own thread, as on the event loop it would hang together with what it watches. It measures silence in its own
ticks, so time in which the whole process was paused (a frozen container, a suspended machine) does not count.
"""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from service.admission import Load
from service.domain import EngineStep

_TICKS_PER_STALL = 10
_LONGEST_TICK_S = 1.0
_MOST_STALLS = 10.0
"""The expected step time counts at most this many times `stall_s`, so that a wrong expectation cannot hide a hang for ever."""
_DEARER = 2.0
"""Factor on the measured time per token. Tokens of longer prompts cost more: attention grows with the square of the length."""
_LEAST_MEASURED_TOKENS = 256
"""Prefilled tokens that a step must have to be measured. With fewer, other work takes too large a share of its time."""
_REMEMBERED_STEPS = 32
"""Number of measured steps that are kept, so that one in which the machine was paused is dropped after some time."""
_STEPS_TO_COMPUTE_AGAIN = 32
"""Steps that a preempted turn may need to compute its prompt again, once it no longer waits. The engine preempts a turn when
KV cache blocks run out.
"""


@dataclass(frozen=True, slots=True)
class Stall:
    """What has made no progress for longer than allowed."""

    what: Literal["engine", "event loop"]
    silent_s: float
    allowed_s: float
    last_step: EngineStep | None


class Watchdog:
    """Calls `on_stall` once, on its own thread, if the engine or the event loop has stalled.

    - The engine has stalled if it has unfinished work and reports no step for `stall_s` plus the expected time of its present
      step. `expected_step_s` returns that time, so that a long prefill is not a hang; it counts for ten times `stall_s` at most.
    - The event loop has stalled if it runs no callback for `stall_s`.
    """

    def __init__(
        self,
        *,
        stall_s: float,
        unfinished: Callable[[], int],
        expected_step_s: Callable[[], float],
        on_stall: Callable[[Stall], None],
    ) -> None:
        self._stall_s = stall_s
        self._unfinished = unfinished
        self._expected_step_s = expected_step_s
        self._on_stall = on_stall
        self._tick_s = min(stall_s / _TICKS_PER_STALL, _LONGEST_TICK_S)
        self.has_fired = False
        # Only the event loop writes these, and only the thread reads them, so no lock is needed.
        self._steps = 0
        self._loops = 0
        self._last_step: EngineStep | None = None
        self._has_stopped = threading.Event()

    def on_step(self, step: EngineStep) -> None:
        """Engine step listener."""
        self._steps += 1
        self._last_step = step

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start to watch. Call this once the engine has started."""
        threading.Thread(target=self._watch, args=(loop,), name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._has_stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        engine, event_loop = _Silence(), _Silence()
        while not self._has_stopped.wait(self._tick_s):
            is_looping = event_loop.tick(self._loops, self._tick_s)
            # Steps are reported on the loop, so a blocked loop says nothing about the engine. Silence grows only while the engine
            # has work, and only a step ends it: callers that give up on a hung engine and try again must not end it.
            if is_looping:
                engine.tick(self._steps, self._tick_s if self._unfinished() else 0.0)
            if event_loop.s > self._stall_s:
                return self._fire("event loop", event_loop.s, self._stall_s)
            if engine.s > (allowed_s := self._stall_s + min(self._expected_step_s(), _MOST_STALLS * self._stall_s)):
                return self._fire("engine", engine.s, allowed_s)
            with contextlib.suppress(RuntimeError):  # The loop is closed, as the process is ending.
                loop.call_soon_threadsafe(self._on_loop)
        return None

    def _fire(self, what: Literal["engine", "event loop"], silent_s: float, allowed_s: float) -> None:
        self.has_fired = True
        self._on_stall(Stall(what, silent_s, allowed_s, self._last_step))

    def _on_loop(self) -> None:
        self._loops += 1


class _Silence:
    """Seconds for which a count has not changed."""

    def __init__(self) -> None:
        self.s = 0.0
        self._count = -1

    def tick(self, count: int, tick_s: float) -> bool:
        """Record one tick of `tick_s` seconds with the present count. Return True if the count has changed."""
        has_moved, self._count = count != self._count, count
        self.s = 0.0 if has_moved else self.s + tick_s
        return has_moved


class LongestPrefill:
    """Estimates how long the present step may take, in seconds.

    The estimate is a prefill of the whole context length at half of the slowest speed measured lately. It is 0 if there is no
    prompt to compute.
    """

    def __init__(self, load: Load, *, max_model_len: int) -> None:
        self._load = load
        self._max_model_len = max_model_len
        self._s_per_token: deque[float] = deque(maxlen=_REMEMBERED_STEPS)
        self._slowest_s = 0.0
        self._done = 0
        """Prompts done by the last step. A prompt that its caller gave up since then may still be in the present step."""
        self._last: EngineStep | None = None
        self._computing_again = 0
        """Number of further steps in which a preempted turn may be computed again."""

    def on_step(self, step: EngineStep) -> None:
        """Engine step listener. Only a step that directly follows another shows how long it took."""
        last, self._last, self._done = self._last, step, self._load.prompts_done
        self._computing_again = _STEPS_TO_COMPUTE_AGAIN if step.waiting else max(0, self._computing_again - 1)
        if last and last.running + last.waiting and step.prefilled_tokens >= _LEAST_MEASURED_TOKENS:
            self._s_per_token.append((step.at_s - last.at_s) / step.prefilled_tokens)
            self._slowest_s = max(self._s_per_token)

    def expected_step_s(self) -> float:
        """Return the estimate in seconds. The watchdog's thread calls this; the event loop calls the other methods."""
        return _DEARER * self._slowest_s * self._max_model_len if self._may_prefill() else 0.0

    def _may_prefill(self) -> bool:
        return self._computing_again > 0 or self._load.prompts_given > self._done
