"""All results of a report in one value. The JSON file contains it, and the page shows it."""

from dataclasses import asdict, dataclass
from typing import Any

from loadtest.report.advice import advise
from loadtest.report.capacity import Capacity, Plan, capacity_of
from loadtest.report.flags import LOCUST, Flags
from loadtest.report.reading import Reading
from loadtest.report.thresholds import Thresholds
from loadtest.report.verdict import Verdict, judge

VERSION = 1


@dataclass(frozen=True)
class Findings:
    reading: Reading
    wanted: Thresholds
    plan: Plan
    verdict: Verdict
    capacity: Capacity
    advice: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Contents of the JSON file: the verdict and its basis. The turns themselves are only in the record."""
        raw = self.reading.raw
        same = ("scenario", "settings", "environment", "run_s", "validity", "summary", "server")
        return {
            "version": VERSION,
            "verdict": self.verdict.word,
            "exit_code": self.verdict.exit_code,
            "why": self.verdict.why,
            "judged": self.verdict.judged,
            "thresholds": [asdict(row) for row in self.verdict.rows],
            "figures": asdict(self.verdict.figures),
            "steps": [asdict(step) for step in self.verdict.knee.steps],
            "capacity": asdict(self.capacity),
            "plan": asdict(self.plan),
            "advice": self.advice,
            **{name: raw[name] for name in same},
        }


def find(reading: Reading, wanted: Thresholds, plan: Plan, flags: Flags = LOCUST) -> Findings:
    verdict = judge(reading, wanted, flags)
    capacity = capacity_of(reading, verdict, plan)
    return Findings(reading, wanted, plan, verdict, capacity, advise(reading, verdict, capacity, plan, flags))
