"""Each check against a server with just its fault: this check reports it, and no other does."""

import pytest

from service.check.checks.all_checks import CHECKS
from service.check.probe.target import CannotCheck
from tests.check.broken import BROKEN, Broken
from tests.check.broken_requests import KnowsNoTools
from tests.check.broken_servers import OnlyTheBarePath, OnlyXApiKey
from tests.check.checking import checked, not_passed, results_of
from tests.check.good_server import KEY, GoodHandler, running


def test_a_good_server_passes_every_check() -> None:
    with running(GoodHandler) as url:
        report = checked(url, KEY)
    assert not_passed(report) == {}, results_of(report)
    assert report.verdict == "pass"


@pytest.mark.parametrize("broken", BROKEN, ids=[broken.handler.__name__ for broken in BROKEN])
def test_a_broken_server_is_told_by_its_check_alone(broken: Broken) -> None:
    with running(broken.handler) as url:
        report = checked(url, KEY)
    assert not_passed(report) == broken.expected, results_of(report)
    assert report.verdict == ("fail" if "fail" in broken.expected.values() else "pass")
    for result in report.checks:
        assert (result.fix is not None) == (result.outcome in ("warn", "fail"))


def test_every_check_has_a_server_that_brings_out_its_worst() -> None:
    # If no path answers, no other check runs. That case has its own test.
    worst = {(broken.check, broken.outcome) for broken in BROKEN} | {("path.v1", "fail"), ("path.bare", "fail")}
    assert {(check.id, check.worst) for check in CHECKS} <= worst
    assert all(check.worst == "fail" or (check.id, "fail") not in worst for check in CHECKS)


def test_without_any_path_nothing_else_is_asked() -> None:
    class NoPath(GoodHandler):
        paths = ()

    with running(NoPath) as url:
        report = checked(url, KEY)
    outcomes = {result.id: result.outcome for result in report.checks}
    assert outcomes == {check.id: "fail" if check.id.startswith("path.") else "skipped" for check in CHECKS}
    assert report.hand_over.url is None


def test_the_sheet_names_the_path_and_header_that_work() -> None:
    with running(OnlyTheBarePath) as url:
        report = checked(f"{url}/v1", KEY)
    assert report.hand_over.url == f"{url}/chat/completions"
    assert report.hand_over.auth == ["x-api-key", "bearer"]
    with running(OnlyXApiKey) as url:
        report = checked(url, KEY)
    assert report.hand_over.url == f"{url}/v1/chat/completions"
    assert report.hand_over.auth == ["x-api-key"]


def test_a_url_in_full_is_the_one_to_hand_over() -> None:
    with running(KnowsNoTools) as url:
        report = checked(f"{url}/chat/completions", KEY)
    assert report.hand_over.url == f"{url}/chat/completions"


def test_what_was_refused_for_load_is_asked_again() -> None:
    refusals = iter([True, False, True])

    class Limited(GoodHandler):
        def respond(self, request: dict[str, object]) -> None:
            if next(refusals, False):
                self.send_response(429)
                self.send_header("Retry-After", "0")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                super().respond(request)

    with running(Limited) as url:
        report = checked(url, KEY)
    assert not_passed(report) == {}, results_of(report)
    assert report.resent == 2


def test_a_wrong_key_a_wrong_model_and_silence_are_not_the_endpoints_fault() -> None:
    with running(GoodHandler) as url:
        with pytest.raises(CannotCheck, match=r"refuses the key .*FIRSTWORD_API_KEY \(status 401\)"):
            checked(url, "wrong-key")
        with pytest.raises(CannotCheck, match="refuses the key"):
            checked(url, "wrong-key", model="small-talk-1")
        with pytest.raises(CannotCheck, match="model 'no-such'"):
            checked(url, KEY, model="no-such")
    with pytest.raises(CannotCheck, match="Connection refused"):
        checked(url, KEY)


def test_without_a_model_list_a_model_must_be_given() -> None:
    class NoList(GoodHandler):
        def do_GET(self) -> None:
            self.send_error_body(404, "There is no such path.")

    with running(NoList) as url:
        with pytest.raises(CannotCheck, match=r"--model"):
            checked(url, KEY)
        assert not_passed(checked(url, KEY, model="small-talk-1")) == {}


def test_a_redirect_is_not_followed_but_told() -> None:
    class Moved(GoodHandler):
        def do_GET(self) -> None:
            self.send_json(308, {})

        def take(self, raw: bytes) -> None:
            self.send_json(308, {})

    with running(Moved) as url:
        with pytest.raises(CannotCheck, match=r"status 308, a redirect"):
            checked(url, KEY)
        report = checked(url, KEY, model="small-talk-1")
    seen = {result.id: result.seen for result in report.checks}
    assert seen["path.v1"].startswith(f"{url}/v1/chat/completions: status 308, a redirect")
    assert seen["path.bare"].startswith(f"{url}/chat/completions: status 308, a redirect")
