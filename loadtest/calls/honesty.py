"""Whether the client itself kept up. If it did not, the measured times are its own delays and say nothing about the server."""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import gevent  # type: ignore[import-untyped]

TICK_S = 0.01
LAG_LIMIT_S = 0.05
"""Seconds of event-loop lag above which the loop counts as blocked, by other work or for lack of CPU."""
BLOCKED_LIMIT = 0.02
"""Highest share of the run in which the loop may be blocked."""
CPU_LIMIT = 0.9
"""CPU use above which a second counts as busy. One Python process can use at most one CPU (1.0)."""
BUSY_LIMIT = 0.1
"""Highest share of busy seconds."""
LATE_LIMIT_S = 0.05
"""Highest 99th percentile of the send delay of turns."""
MEND = "give the client more processes (--processes) and a machine of its own"
"""The advice at the end of a doubt. The launch report removes it where the command has no such option."""


@dataclass
class Watch:
    """Measurements that one process takes of itself."""

    cpu: list[tuple[float, float]] = field(default_factory=list)
    """One entry per second: seconds since the start of the run, CPUs used."""
    blocked_s: float = 0.0
    """Total of the lags above the limit."""
    watched_s: float = 0.0
    worst_lag_s: float = 0.0
    in_progress: list[tuple[float, int]] = field(default_factory=list)
    """One entry per second: seconds since the start of the run, calls in progress in this process."""

    def run(self, began_at: float, calls: Callable[[], int]) -> None:
        """Run as a greenlet, without an end: sleep one tick and measure how late it wakes."""
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
        """Return the seconds since the last report and the sums since the start. The size does not grow with the run."""
        reported = asdict(self)
        self.cpu, self.in_progress = [], []
        return reported


def doubts(
    watches: dict[str, dict[str, Any]], late_s: Sequence[float], *, not_placed: int, cap: int, missing: Sequence[str] = ()
) -> list[str]:
    """Reasons why the run says nothing about the server. Empty: it is valid."""
    found = [f"{name} was lost during the run, with its calls" for name in missing]
    for name, watch in watches.items():
        found += [f"{name}: {doubt}" for doubt in _of_one(watch)]
    if not late_s:
        found.append("no turn was sent: run longer, or raise the rate")
    elif (late := sorted(late_s)[-(len(late_s) // 100) - 1]) > LATE_LIMIT_S:
        found.append(f"turns were sent late: 1 in 100 was {late:.3f} s late or more (limit {LATE_LIMIT_S:g} s); {MEND}")
    if not_placed:
        found.append(
            f"{not_placed} calls were not placed because {cap} calls (-u) were in progress, so the load was too low; raise -u"
        )
    return found


def _of_one(watch: dict[str, Any]) -> list[str]:
    found = []
    blocked = watch["blocked_s"] / max(watch["watched_s"], 1.0)
    if blocked > BLOCKED_LIMIT:
        worst = f"longest lag {watch['worst_lag_s']:.2f} s"
        found.append(f"the event loop was blocked for {blocked:.0%} of the time ({worst}; limit {BLOCKED_LIMIT:.0%}); {MEND}")
    used = [cpu for _, cpu in watch["cpu"]]
    busy = sum(cpu > CPU_LIMIT for cpu in used)
    if used and busy / len(used) > BUSY_LIMIT:
        found.append(f"the process used more than {CPU_LIMIT:.0%} of a CPU in {busy} of {len(used)} s; {MEND}")
    return found


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
