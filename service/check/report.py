"""The results of a run, as a stable JSON document (docs/check.md) and as JUnit XML."""

from io import BytesIO
from typing import Literal

from junitparser import Failure, JUnitXml, TestCase, TestSuite
from junitparser import Skipped as JUnitSkipped

from service.console.report import Counts, Document, Outcome


class CheckResult(Document):
    id: str
    title: str
    outcome: Outcome
    seen: str
    fix: str | None
    """What to do. Null if there is nothing to do."""
    duration_s: float


class CredentialPlace(Document):
    """Where the key comes from. Never the key itself."""

    kind: Literal["variable", "file", "command line"]
    name: str | None


class HandOver(Document):
    """The values that the platform asks for."""

    url: str | None
    """Null if no path answers."""
    model: str
    auth: list[Literal["x-api-key", "bearer"]]
    """The headers that work."""
    credential: CredentialPlace


class TtftSummary(Document):
    calls: int
    median_s: float
    worst_s: float
    budget_s: float


class Report(Document):
    format: Literal[1] = 1
    """Version of this document. It grows when a field is removed or changes its meaning, but not when a field is added."""
    firstword_version: str
    started_at: str
    duration_s: float
    verdict: Literal["pass", "fail"]
    counts: Counts
    resent: int
    """Number of requests that were refused for load (429, 503) and sent again after their Retry-After."""
    hand_over: HandOver
    ttft: TtftSummary | None
    checks: list[CheckResult]


def as_json(report: Report) -> str:
    return report.model_dump_json(indent=2) + "\n"


def as_junit(report: Report) -> bytes:
    """The report as JUnit XML. A warning is a passed test case with a note in its output."""
    suite = TestSuite("firstword check")
    suite.add_property("endpoint", report.hand_over.url or "")
    suite.add_property("model", report.hand_over.model)
    suite.timestamp = report.started_at
    for result in report.checks:
        suite.add_testcase(_test_case(result))
    suite.time = report.duration_s
    xml = JUnitXml()
    xml.add_testsuite(suite)
    xml.update_statistics()  # type: ignore[no-untyped-call]
    with BytesIO() as file:
        xml.write(file, pretty=True)
        return file.getvalue()


def _test_case(result: CheckResult) -> TestCase:
    case = TestCase(result.id, classname=f"firstword.check.{result.id.split('.')[0]}", time=result.duration_s)
    if result.outcome == "fail":
        failure = Failure(f"{result.seen}")
        failure.text = f"{result.title}\nSeen: {result.seen}\nTo do: {result.fix}"
        case.result = [failure]
    elif result.outcome == "skipped":
        case.result = [JUnitSkipped(result.seen)]
    else:
        case.system_out = f"{'warning: ' if result.outcome == 'warn' else ''}{result.seen}"
    return case
