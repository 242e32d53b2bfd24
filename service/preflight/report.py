"""What preflight found, as a stable document (docs/preflight.md)."""

from typing import Literal

from service.console.report import Counts, Document, Outcome


class Finding(Document):
    pool: str | None
    """Null: of the cluster or the namespace."""
    check: str
    title: str
    outcome: Outcome
    seen: str
    fix: str | None
    """What to change; null where there is nothing."""


class Report(Document):
    format: Literal[1] = 1
    """Grows when a field changes its meaning or goes; new fields may come without."""
    firstword_version: str
    started_at: str
    duration_s: float
    cluster: str
    namespace: str
    release: str
    verdict: Literal["pass", "fail"]
    counts: Counts
    findings: list[Finding]


def as_json(report: Report) -> str:
    return report.model_dump_json(indent=2) + "\n"
