"""One run, from its start to its record."""

import logging
import secrets
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]

from loadtest.calls import honesty, record, server_metrics, summary
from loadtest.calls.environment import described
from loadtest.calls.options import key_of, settings_of
from loadtest.calls.plans import Schedule
from loadtest.calls.record import Seen
from loadtest.calls.rows import column
from loadtest.calls.scenarios import NOISY, QUIET, SCENARIOS
from loadtest.calls.target import Target

_log = logging.getLogger(__name__)
_SETTLE_S = 0.3
"""Seconds until the server has counted the turns that were dropped at the end of the run."""


@dataclass(frozen=True)
class Result:
    record: dict[str, Any]
    path: str
    """File of the record. Empty: it was not written."""

    @property
    def is_valid(self) -> bool:
        return bool(self.record["validity"]["is_valid"])


@dataclass
class Run:
    """State of a run in progress."""

    options: Any
    target: Target
    before: server_metrics.Look
    seen: Seen
    run_s: float
    began_at: float = field(default_factory=time.monotonic)
    workers: list[str] = field(default_factory=list)
    """All processes that took part at any time."""
    orders: list[dict[str, Any]] = field(default_factory=list)
    """Orders with their times. There is more than one if Locust's page changed rate or cap, or a worker joined or left."""
    problems: dict[str, str] = field(default_factory=dict)
    """Why a worker places no calls, by worker."""
    number: int = 1
    """Number of the record. Locust's page can start several runs."""
    salt: str = field(default_factory=lambda: secrets.token_hex(8))
    """Salt of the marks with which keys are compared."""

    @staticmethod
    def begin(options: Any, target: Target, run_s: float, number: int = 1) -> "Run":
        before, seen = _look(options, target), Seen(options.record_rows, options.seed, options.ttft_budget_s)
        return Run(options, target, before, seen, run_s, number=number)

    def elapsed_s(self) -> float:
        return time.monotonic() - self.began_at

    def ordered(self, rate: float, cap: int, workers: list[str]) -> None:
        if not self.orders:
            self.began_at = time.monotonic()
        self.workers += [worker for worker in workers if worker not in self.workers]
        asked = {"scenario": self.options.scenario, "rate": rate, "cap": cap, "processes": len(workers)}
        self.orders.append({"at_s": round(self.elapsed_s(), 2), **asked})

    def end(self, elapsed_s: float, *, missing: list[str], faults: int) -> Result:
        """Check the run's validity, write its record and return it. `faults`: number of faults of the load test itself."""
        gevent.sleep(_SETTLE_S)
        after = self.before if self.before.problem else _look(self.options, self.target)
        seen = self.seen.as_dict()
        reported = {
            "version": record.VERSION,
            "scenario": self.orders[0]["scenario"],
            "settings": self._settings(),
            "environment": described(len(self.workers)),
            "schedule": self._schedule(),
            "run_s": round(elapsed_s, 2),
            "validity": self._validity(seen, missing, faults),
            "summary": summary.measures(seen, elapsed_s),
            "server": server_metrics.compare(self.before, after, server_metrics.client_counts(seen), self.options.ttft_budget_s),
            **seen,
        }
        if not self.options.record:
            return Result(reported, "")
        path = record.numbered(Path(self.options.record), self.number)
        record.write(reported, path)
        return Result(reported, str(path))

    def _settings(self) -> dict[str, Any]:
        asked = {name: self.orders[0][name] for name in ("scenario", "rate", "cap")}
        return settings_of(self.options) | asdict(self.target) | asked

    def _schedule(self) -> dict[str, Any]:
        schedule = Schedule(SCENARIOS[self.orders[0]["scenario"]], self.options.seed, self.orders[0]["rate"], self.run_s)
        stages = {tenant: [asdict(stage) for stage in schedule.stages(tenant)] for tenant in (QUIET, NOISY)}
        return {"stages": stages, "changes": self.orders[1:]}

    def _validity(self, seen: dict[str, Any], missing: list[str], faults: int) -> dict[str, Any]:
        doubts = honesty.doubts(
            seen["client"],
            column(self.seen.turns.rows, "late_s"),
            not_placed=self.seen.not_placed,
            cap=int(self.orders[-1]["cap"]),
            missing=missing,
        )
        doubts += [f"{worker} placed no calls: {problem}" for worker, problem in self.problems.items()]
        if faults:
            doubts.append(f"the load test itself had {faults} faults; see Locust's log")
        return {"is_valid": not doubts, "doubts": doubts}


def _look(options: Any, target: Target) -> server_metrics.Look:
    found = server_metrics.look(target, options.server_metrics, key_of(QUIET))
    if found.problem:
        _log.warning(found.problem)
    return found
