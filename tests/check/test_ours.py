"""Our own service passes the checklist."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from service.check.checks.all_checks import CHECKS
from service.check.report import Report
from tests.check.checking import checked, not_passed, results_of
from tests.check.good_server import KEY, GoodHandler, running
from tests.support.service_under_test import ScriptedService, scripted_service, until


@dataclass
class Checked:
    service: ScriptedService
    report: Report


@pytest.fixture(scope="module")
def ours() -> Iterator[Checked]:
    """The service, slow enough for buffering to show."""
    with scripted_service(engine_args={"prefill_s": 0.02, "step_s": 0.006}) as service:
        yield Checked(service, checked(f"{service.url}/v1", service.key))


def test_our_service_passes_every_check(ours: Checked) -> None:
    assert not_passed(ours.report) == {}, results_of(ours.report)
    assert [result.id for result in ours.report.checks] == [check.id for check in CHECKS]
    incremental = next(result for result in ours.report.checks if result.id == "stream.incremental")
    assert "too fast" not in incremental.seen


def test_the_sheet_says_what_the_platform_asks_for(ours: Checked) -> None:
    sheet = ours.report.hand_over
    assert sheet.url == f"{ours.service.url}/v1/chat/completions"
    assert sheet.model == ours.service.model
    assert sheet.auth == ["x-api-key", "bearer"]
    assert (sheet.credential.kind, sheet.credential.name) == ("variable", "FIRSTWORD_API_KEY")


def test_hung_up_turns_have_ended(ours: Checked) -> None:
    until(lambda: ours.service.engine.running == 0)
    assert ours.service.engine.aborted == 3


def test_ttft_is_the_prefill_here_and_a_budget_below_it_warns() -> None:
    with scripted_service(engine_args={"prefill_s": 0.2, "step_s": 0.005}) as slow:
        report = checked(slow.url, slow.key, ttft_budget_s=0.1)
    assert report.ttft is not None
    assert 0.2 <= report.ttft.median_s <= report.ttft.worst_s
    assert not_passed(report) == {"time.ttft": "warn"}, results_of(report)


def test_a_session_that_a_gateway_begins_for_a_good_key_lets_no_wrong_one_in() -> None:
    class Gateway(GoodHandler):
        def may_enter(self) -> bool:
            return "session=1" in self.headers.get("cookie", "") or super().may_enter()

        def end_headers(self) -> None:
            self.send_header("Set-Cookie", "session=1; Path=/")
            super().end_headers()

    with running(Gateway) as url:
        report = checked(url, KEY)
    assert not_passed(report) == {}, results_of(report)
