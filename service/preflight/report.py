"""The preflight report, a stable document format (docs/preflight.md)."""

from typing import Literal

from service.console.report import Counts, Document, Outcome


class Finding(Document):
    pool: str | None
    """Pool name. Null means the finding belongs to the cluster or the namespace."""
    check: str
    title: str
    outcome: Outcome
    seen: str
    fix: str | None
    """What to change. Null means there is nothing to change."""


class Report(Document):
    format: Literal[1] = 1
    """Format version. It increases when a field is removed or changes its meaning, and not when a field is added."""
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
