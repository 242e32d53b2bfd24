"""Tells a hung engine, or a blocked event loop, from one that is only slow.

A thread of its own: on the event loop it would hang with what it watches. It counts silence in its own ticks, so that time in
which the whole process was paused (a frozen container, a suspended machine) is nobody's silence.
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
"""However long a step is expected to take: a wrong expectation must not hide a hang for ever."""
_DEARER = 2.0
"""A long prompt's tokens cost more each than those of the prompts measured: attention grows with the square of the length."""
_LEAST_MEASURED_TOKENS = 256
"""In a step that prefills less, other work is too much of its time."""
_REMEMBERED_STEPS = 32
"""Of those measured: one in which the machine was paused is forgotten in the end."""
_STEPS_TO_COMPUTE_AGAIN = 32
"""As many pieces may a turn take that the engine threw out for want of KV blocks, once it no longer waits."""


@dataclass(frozen=True, slots=True)
class Stall:
    """What has not moved for longer than it may."""

    what: Literal["engine", "event loop"]
    silent_s: float
    allowed_s: float
    last_step: EngineStep | None


class Watchdog:
    """Calls `on_stall` once, on its own thread.

    The engine stalls where it has unfinished work and gives no step for `stall_s` on top of what its present step may take
    (`expected_step_s`: a long prefill is no hang; ten times `stall_s` at most). The event loop stalls where it runs nothing for
    `stall_s`.
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
        # Written on the loop only, read on the thread only: neither can undo what the other did.
        self._steps = 0
        self._loops = 0
        self._last_step: EngineStep | None = None
        self._has_stopped = threading.Event()

    def on_step(self, step: EngineStep) -> None:
        """Listens to the engine."""
        self._steps += 1
        self._last_step = step

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch from now on: call once the engine has started."""
        threading.Thread(target=self._watch, args=(loop,), name="watchdog", daemon=True).start()

    def stop(self) -> None:
        self._has_stopped.set()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        engine, event_loop = _Silence(), _Silence()
        while not self._has_stopped.wait(self._tick_s):
            is_looping = event_loop.tick(self._loops, self._tick_s)
            # Steps reach us by the loop: while it is blocked, the engine is not known to be silent. While it has nothing to do it
            # need not speak, but only a step ends a silence: callers who give up on a hung engine and come again don't.
            if is_looping:
                engine.tick(self._steps, self._tick_s if self._unfinished() else 0.0)
            if event_loop.s > self._stall_s:
                return self._fire("event loop", event_loop.s, self._stall_s)
            if engine.s > (allowed_s := self._stall_s + min(self._expected_step_s(), _MOST_STALLS * self._stall_s)):
                return self._fire("engine", engine.s, allowed_s)
            with contextlib.suppress(RuntimeError):  # The loop has been closed: the process ends.
                loop.call_soon_threadsafe(self._on_loop)
        return None

    def _fire(self, what: Literal["engine", "event loop"], silent_s: float, allowed_s: float) -> None:
        self.has_fired = True
        self._on_stall(Stall(what, silent_s, allowed_s, self._last_step))

    def _on_loop(self) -> None:
        self._loops += 1


class _Silence:
    """How long a count has stood still."""

    def __init__(self) -> None:
        self.s = 0.0
        self._count = -1

    def tick(self, count: int, tick_s: float) -> bool:
        """One tick with the count as it is now. True where it has moved."""
        has_moved, self._count = count != self._count, count
        self.s = 0.0 if has_moved else self.s + tick_s
        return has_moved


class LongestPrefill:
    """How long the present step may take: a prefill of the whole context, at half of the slowest pace measured lately; nothing
    where there is no prompt to compute.
    """

    def __init__(self, load: Load, *, max_model_len: int) -> None:
        self._load = load
        self._max_model_len = max_model_len
        self._s_per_token: deque[float] = deque(maxlen=_REMEMBERED_STEPS)
        self._slowest_s = 0.0
        self._done = 0
        """Prompts, by the last step. One that was given up since may still be in the present step."""
        self._last: EngineStep | None = None
        self._computing_again = 0
        """For so many steps more may a turn that was thrown out be computed again."""

    def on_step(self, step: EngineStep) -> None:
        """Listens to the engine. Only a step that follows another at once shows how long it took."""
        last, self._last, self._done = self._last, step, self._load.prompts_done
        self._computing_again = _STEPS_TO_COMPUTE_AGAIN if step.waiting else max(0, self._computing_again - 1)
        if last and last.running + last.waiting and step.prefilled_tokens >= _LEAST_MEASURED_TOKENS:
            self._s_per_token.append((step.at_s - last.at_s) / step.prefilled_tokens)
            self._slowest_s = max(self._s_per_token)

    def expected_step_s(self) -> float:
        """Called on another thread than the rest."""
        return _DEARER * self._slowest_s * self._max_model_len if self._may_prefill() else 0.0

    def _may_prefill(self) -> bool:
        return self._computing_again > 0 or self._load.prompts_given > self._done
