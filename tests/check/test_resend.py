"""Requests that are refused for load are sent again: a few times, after a short wait, within a bound."""

import pytest

from service.check.probe import session as sessions
from service.check.probe.client import Exchange
from service.check.probe.session import _retry_after_s
from tests.check.checking import checked, not_passed, results_of
from tests.check.good_server import KEY, MODEL, GoodHandler, Json, running


@pytest.mark.parametrize(
    ("retry_after", "wait_s"),
    [
        ("0", 0.0),
        ("10", 10.0),
        (" 7 ", 7.0),
        ("11", None),
        ("999", None),
        ("9" * 5000, None),
        ("1e308", None),
        ("1e1", None),
        ("-1", None),
        ("-0", None),
        ("NaN", None),
        ("inf", None),
        ("0.5", None),
        ("²", None),
        ("", None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_only_a_short_wait_in_whole_seconds_is_waited_for(retry_after: str, wait_s: float | None) -> None:
    seen = Exchange(status=429)
    seen.headers["retry-after"] = retry_after.encode().decode("latin-1")
    assert _retry_after_s(seen) == wait_s
    seen.status = 400
    assert _retry_after_s(seen) is None


class Refusing(GoodHandler):
    """Refuses for load, `times` in a row before each answer."""

    retry_after = "0"
    times = 2

    def respond(self, request: Json) -> None:
        self.server.streams += 1
        if self.server.streams % (self.times + 1):
            self.send_response(429)
            self.send_header("Retry-After", self.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().respond(request)


def test_each_request_may_be_refused_for_load_three_times_in_a_row() -> None:
    class Thrice(Refusing):
        times = 3

    with running(Thrice) as url:
        report = checked(url, KEY)
    # The request after the hang-ups is not sent again, because its time is measured.
    assert not_passed(report) == {"connection.hang-up": "fail"}, results_of(report)
    assert report.resent > 60

    class FourTimes(Refusing):
        times = 4

    with running(FourTimes) as url:
        report = checked(url, KEY, model=MODEL)
    assert report.verdict == "fail"


def test_all_waits_of_a_run_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(Refusing):
        times = 10**9
        retry_after = "1"

    monkeypatch.setattr(sessions, "_LONGEST_WAITS_S", 2)
    with running(Busy) as url:
        report = checked(url, KEY, model=MODEL)
    assert report.resent == 2
    asked = {f"{url}{path}/chat/completions: status 429" for path in ("/v1", "")}
    assert {result.seen for result in report.checks if result.outcome == "fail"} == asked
