"""Whether the client itself kept up. Where it did not, its times are its own, and no server is to be blamed for them."""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import gevent  # type: ignore[import-untyped]

TICK_S = 0.01
LAG_LIMIT_S = 0.05
"""A loop that comes back later than this was busy with something else, or not given the processor."""
BLOCKED_LIMIT = 0.02
"""The share of the run that it may have been so."""
CPU_LIMIT = 0.9
"""Of one processor, all that a process of Python's can use. A second above it is a busy one."""
BUSY_LIMIT = 0.1
LATE_LIMIT_S = 0.05
"""How late the 99th of 100 turns may be sent."""
MEND = "give the client more processes (--processes) and a machine of its own"


@dataclass
class Watch:
    """What one process saw of itself."""

    cpu: list[tuple[float, float]] = field(default_factory=list)
    """Each second: seconds since the start of the run, processors used."""
    blocked_s: float = 0.0
    """Time in lags over the limit."""
    watched_s: float = 0.0
    worst_lag_s: float = 0.0
    in_progress: list[tuple[float, int]] = field(default_factory=list)
    """Each second: calls in this process."""

    def run(self, began_at: float, calls: Callable[[], int]) -> None:
        """A greenlet's work, for ever: sleeps a tick and sees how late it wakes."""
        second_at, cpu_s, due_at = time.monotonic(), _cpu_s(), time.monotonic() + TICK_S
        while True:
            gevent.sleep(max(0.0, due_at - time.monotonic()))
            now = time.monotonic()
            self._lag(now - due_at)
            due_at = now + TICK_S
            if now - second_at >= 1:
                used, cpu_s = _cpu_s() - cpu_s, _cpu_s()
                self.cpu.append((round(now - began_at, 2), round(used / (now - second_at), 3)))
                self.in_progress.append((round(now - began_at, 2), calls()))
                second_at = now

    def _lag(self, lag_s: float) -> None:
        self.watched_s += TICK_S + lag_s
        self.worst_lag_s = max(self.worst_lag_s, lag_s)
        if lag_s > LAG_LIMIT_S:
            self.blocked_s += lag_s

    def report(self) -> dict[str, Any]:
        """The seconds since the last report, the sums since the start: after an hour it is no larger than after a minute."""
        told = asdict(self)
        self.cpu, self.in_progress = [], []
        return told


def doubts(
    watches: dict[str, dict[str, Any]], late_s: Sequence[float], *, not_placed: int, cap: int, missing: Sequence[str] = ()
) -> list[str]:
    """Why the run says nothing about the server; empty where it does."""
    found = [f"{name} was lost during the run, and its calls with it" for name in missing]
    for name, watch in watches.items():
        found += [f"{name}: {doubt}" for doubt in _of_one(watch)]
    if not late_s:
        found.append("no turn was sent: too short a run for its rate")
    elif (late := sorted(late_s)[-(len(late_s) // 100) - 1]) > LATE_LIMIT_S:
        found.append(f"turns were sent late: 1 in 100 by {late:.3f} s or more (limit {LATE_LIMIT_S:g} s); {MEND}")
    if not_placed:
        found.append(
            f"{not_placed} calls were not placed, since {cap} were in progress: the load was not what was asked; raise -u"
        )
    return found


def _of_one(watch: dict[str, Any]) -> list[str]:
    found = []
    blocked = watch["blocked_s"] / max(watch["watched_s"], 1.0)
    if blocked > BLOCKED_LIMIT:
        worst = f"at worst {watch['worst_lag_s']:.2f} s"
        found.append(f"the event loop was blocked for {blocked:.0%} of the time ({worst}; limit {BLOCKED_LIMIT:.0%}); {MEND}")
    used = [cpu for _, cpu in watch["cpu"]]
    busy = sum(cpu > CPU_LIMIT for cpu in used)
    if used and busy / len(used) > BUSY_LIMIT:
        found.append(f"the processor was full for {busy} of {len(used)} s; {MEND}")
    return found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
