"""Running the checks in this process."""

import asyncio
from typing import Any

from service.check.probe.session import Options
from service.check.probe.target import Credential, parse_url
from service.check.report import Report
from service.check.run import check_endpoint
from service.console.report import Outcome


def checked(url: str, key: str, *, model: str | None = None, **options: Any) -> Report:
    """Run the checks with short limits: the servers under test are local and fast."""
    chosen = Options(**{"timeout_s": 3.0, "ttft_budget_s": 0.6, "done_grace_s": 0.2, **options})
    credential = Credential(key, "variable", "FIRSTWORD_API_KEY")
    return asyncio.run(check_endpoint(parse_url(url), credential, model=model, options=chosen))


def not_passed(report: Report) -> dict[str, Outcome]:
    return {result.id: result.outcome for result in report.checks if result.outcome != "pass"}


def results_of(report: Report) -> str:
    """All results, for the message of a failing test."""
    return "\n".join(f"{result.id} {result.outcome}: {result.seen}" for result in report.checks)
