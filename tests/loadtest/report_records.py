"""Records of runs that never were, made turn by turn, so that every figure of a report can be worked out by hand."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest.calls import record, summary
from loadtest.calls.record import Seen
from loadtest.calls.rows import CALL_COLUMNS, TURN_COLUMNS

BUDGET_S = 1.0


@dataclass
class Maker:
    scenario: str = "steady"
    run_s: float = 200.0
    rates: tuple[float, ...] = (0.4,)
    """Of stages of equal length."""
    calls_at_once: tuple[int, ...] = (10,)
    """In each of them."""
    doubts: tuple[str, ...] = ()
    has_server: bool = True
    disagreements: tuple[str, ...] = ()
    most_rows: int = 200_000
    turns: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def turn(self, call: int, sent_s: float, position: int = 0, **reported: Any) -> None:
        """Answered, first word after 0.2 s, where nothing else is said."""
        turn: dict[str, Any] = {
            "call": call, "tenant": "quiet", "agent": "hotel", "position": position, "due_s": sent_s, "late_s": 0.0,
            "outcome": "answered", "ttft_s": 0.2, "first_sentence_s": 0.5, "duration_s": 2.0, "tpot_s": 0.05,
            "itl_max_s": 0.1, "prompt_tokens": 800, "cached_tokens": 700, "completion_tokens": 30, "reason": "",
        } | reported  # fmt: skip
        if turn["outcome"] in ("refused", "failed"):
            turn |= {"ttft_s": None, "first_sentence_s": None, "tpot_s": None, "duration_s": 0.01, "itl_max_s": None}
        turn["first_chunk_s"] = turn["ttft_s"]
        is_heard = turn["outcome"] in ("answered", "barged-in", "hung-up")
        turn["on_time"] = int(is_heard and turn["ttft_s"] <= BUDGET_S)
        self.turns.append(turn)

    def call(self, number: int, due_s: float, outcome: str = "good", turns: int = 2, tenant: str = "quiet") -> None:
        reported = {"call": number, "tenant": tenant, "agent": "hotel", "due_s": due_s, "late_s": 0.0}
        self.calls.append(reported | {"outcome": outcome, "turns": turns})

    def steady_calls(self, begin_s: float, count: int, *, every_s: float, **reported: Any) -> None:
        """Calls of two turns, a second apart."""
        for place in range(count):
            number, due_s = len(self.calls), begin_s + place * every_s
            self.call(number, due_s, "good" if reported.get("ttft_s", 0.2) <= BUDGET_S else "spoiled")
            self.turn(number, due_s, **reported)
            self.turn(number, due_s + 1, 1, **reported)

    def stages(self) -> list[dict[str, float]]:
        length_s = self.run_s / len(self.rates)
        return [
            {"begin_s": place * length_s, "end_s": (place + 1) * length_s, "rate": rate} for place, rate in enumerate(self.rates)
        ]

    def record(self) -> dict[str, Any]:
        seen = Seen(self.most_rows, 1, BUDGET_S)
        turns = [[turn[name] for name in TURN_COLUMNS] for turn in self.turns]
        calls = [[call[name] for name in CALL_COLUMNS] for call in self.calls]
        gaps = {100: 30 * len(turns)} if turns else {}
        reported = {"turns": turns, "calls": calls, "gaps": gaps, "gaps_sum_s": 0.0, "watch": self._watch()}
        seen.merge("worker-1", reported)
        reported = seen.as_dict()
        server = {"heard": float(len(turns)), "refused": 0.0, "completion_tokens": 30.0 * len(turns)}
        return {
            "version": record.VERSION,
            "scenario": self.scenario,
            "settings": {
                "host": "http://127.0.0.1:8000",
                "model": "scripted",
                "ttft_budget_s": BUDGET_S,
                "rate": max(self.rates),
            },
            "environment": {"date": "2026-11-24T12:00:00+00:00", "processors": 2},
            "schedule": {"stages": {"quiet": self.stages(), "noisy": []}, "changes": []},
            "run_s": self.run_s,
            "validity": {"is_valid": not self.doubts, "doubts": list(self.doubts)},
            "summary": summary.measures(reported, self.run_s),
            "server": {"server": server, "client": server, "disagreements": list(self.disagreements)}
            if self.has_server
            else None,
            **reported,
        }

    def write(self, folder: Path, name: str = "run") -> Path:
        file = folder / f"{name}.json"
        record.write(self.record(), file)
        return file

    def _watch(self) -> dict[str, Any]:
        seconds = range(int(self.run_s))
        at_once = [(second + 0.5, self.calls_at_once[int(second * len(self.calls_at_once) / self.run_s)]) for second in seconds]
        cpu = [(second + 0.5, 0.3) for second in seconds]
        return {"cpu": cpu, "blocked_s": 0.0, "watched_s": self.run_s, "worst_lag_s": 0.004, "in_progress": at_once}


def ramp() -> Maker:
    """Four steps of 50 s, 20 calls of two turns in each, 10, 20, 30 and 40 at once; in the last one all are late."""
    made = Maker("ramp", rates=(0.1, 0.2, 0.3, 0.4), calls_at_once=(10, 20, 30, 40))
    for begin_s in (0, 50, 100):
        made.steady_calls(begin_s, 20, every_s=2.4)
    made.steady_calls(150, 20, every_s=2.4, ttft_s=1.5)
    return made


def good() -> Maker:
    """160 turns, all in time."""
    made = Maker()
    made.steady_calls(0, 80, every_s=2.4)
    return made


def bad() -> Maker:
    """200 turns: 160 on time, 20 late, 10 refused, 10 failed; nobody knew the run was doubtful."""
    made = good()
    made.steady_calls(100, 10, every_s=2.0, ttft_s=2.5)
    for number in range(100, 110):
        made.turn(number, 50.0, outcome="refused", reason="503 overloaded (capacity)")
        made.call(number, 50.0, "lost")
        made.turn(number + 10, 60.0, outcome="failed", reason="500 engine_error")
        made.call(number + 10, 60.0, "spoiled")
    return made


def invalid() -> Maker:
    made = bad()
    made.doubts = ("worker-1: the process used more than 90% of a CPU in 90 of 200 s; add workers (--processes)",)
    return made
