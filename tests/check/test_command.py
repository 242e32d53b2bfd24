"""`firstword check`, run as a user runs it."""

import json
import os
import pty
import socket
import subprocess
from pathlib import Path

import pytest
from junitparser import JUnitXml

from service.check.checks.all_checks import CHECKS
from service.check.report import Report
from tests.check.broken_servers import Gossip, OnlyBearer
from tests.check.broken_streams import NeverDone
from tests.check.good_server import KEY, MODEL, GoodHandler, Json, running
from tests.support.process import FIRSTWORD, environment, free_port

Result = subprocess.CompletedProcess[str]


def check(*arguments: str, key: str | None = KEY) -> Result:
    """Run it with its output in pipes, not on a terminal."""
    env = environment(**({} if key is None else {"api_key": key}))
    command = [FIRSTWORD, "check", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


def assert_one_line(result: Result, *words: str) -> None:
    """Wrong use gives status 2 and one line, after the progress, that says what to change."""
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("firstword: ")
    for word in words:
        assert word in last


def test_all_is_well() -> None:
    with running(GoodHandler) as url:
        result = check(f"{url}/v1")
    assert result.returncode == 0, result.stdout
    for each in CHECKS:
        assert each.id in result.stdout
        assert each.id in result.stderr  # The progress names it too.
    assert f"{len(CHECKS)} passed, 0 warned, 0 failed, 0 skipped" in result.stdout
    for line in (
        f"{url}/v1/chat/completions",
        MODEL,
        "x-api-key: KEY or Authorization: Bearer KEY",
        "variable FIRSTWORD_API_KEY",
    ):
        assert line in result.stdout
    assert KEY not in result.stdout + result.stderr
    assert "\x1b" not in result.stdout + result.stderr


def test_a_failure_is_status_1_and_in_every_report(tmp_path: Path) -> None:
    file, junit = tmp_path / "report.json", tmp_path / "report.xml"
    with running(NeverDone) as url:
        result = check(url, "--json", str(file), "--junit", str(junit))
    assert result.returncode == 1
    assert "[DONE] came 0 times" in result.stdout
    assert "Hand it over once" in result.stdout
    report = Report.model_validate_json(file.read_text())
    assert report.verdict == "fail"
    assert [one.id for one in report.checks if one.outcome == "fail"] == ["stream.done"]
    assert (report.counts.passed, report.counts.failed) == (len(CHECKS) - 1, 1)
    suite = next(iter(JUnitXml.fromfile(str(junit))))
    assert (suite.tests, suite.failures, suite.skipped) == (len(CHECKS), 1, 0)
    failed = [case for case in suite if case.is_failure]
    assert [case.name for case in failed] == ["stream.done"]
    assert "To do: Send `data: [DONE]` once" in failed[0].result[0].text


def test_a_warning_is_status_0(tmp_path: Path) -> None:
    junit = tmp_path / "report.xml"
    with running(OnlyBearer) as url:
        result = check(url, "--junit", str(junit))
    assert result.returncode == 0
    assert "1 warned" in result.stdout
    suite = next(iter(JUnitXml.fromfile(str(junit))))
    assert (suite.failures, suite.errors, suite.skipped) == (0, 0, 0)
    warned = next(case for case in suite if case.name == "auth.x-api-key")
    assert warned.system_out == "warning: status 401"


def test_json_alone_on_stdout() -> None:
    with running(GoodHandler) as url:
        result = check(url, "--json", "-")
    document = json.loads(result.stdout)
    assert document["format"] == 1
    assert document["ttft"]["calls"] == 5
    assert document["hand_over"]["credential"] == {"kind": "variable", "name": "FIRSTWORD_API_KEY"}
    assert "To hand over to the platform" in result.stderr


def test_the_sheet_says_where_the_key_is(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    ways: list[tuple[tuple[str, ...], str | None, str, Json]] = [
        ((), KEY, "in the environment variable FIRSTWORD_API_KEY", {"kind": "variable", "name": "FIRSTWORD_API_KEY"}),
        (("--key-file", str(file)), None, f"in the file {file}", {"kind": "file", "name": str(file)}),
        (
            ("--key", KEY),
            "another",
            "given on the command line (better: FIRSTWORD_API_KEY or --key-file)",
            {"kind": "command line", "name": None},
        ),
    ]
    report, junit = tmp_path / "report.json", tmp_path / "report.xml"
    with running(GoodHandler) as url:
        for arguments, variable, origin, place in ways:
            result = check(url, *arguments, "--json", str(report), "--junit", str(junit), key=variable)
            assert result.returncode == 0
            sheet = result.stdout.split("To hand over to the platform")[1]
            cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in sheet.splitlines()]
            assert ["Endpoint URL", f"{url}/v1/chat/completions"] in cells
            assert ["Model ID", MODEL] in cells
            assert ["Auth method", "x-api-key: KEY or Authorization: Bearer KEY"] in cells
            # A long path is folded.
            assert origin.replace(" ", "") in "".join(cell for row in cells for cell in row[1:]).replace(" ", "")
            assert json.loads(report.read_text())["hand_over"]["credential"] == place
            for shown in (result.stdout, result.stderr, report.read_text(), junit.read_text()):
                assert KEY not in shown


def test_neither_key_nor_conversation_is_shown_whatever_the_server_says(tmp_path: Path) -> None:
    file, junit = tmp_path / "report.json", tmp_path / "report.xml"
    with running(Gossip) as url:
        result = check(url, "--json", str(file), "--junit", str(junit))
    assert result.returncode == 1
    shown = result.stdout + result.stderr + file.read_text() + junit.read_text()
    assert "[key]" in shown  # The server repeated the key, and it is covered.
    assert KEY.lower() not in shown.lower()
    for word in ("Grüße", "Köln", "Kim", "booked"):
        assert word not in shown


def test_a_server_cannot_write_to_the_terminal() -> None:
    class Painter(GoodHandler):
        answer_type = "text/\x1b[31mred[bold]"

    with running(Painter) as url:
        result = check(url)
    assert "text/?[31mred[bold]" in result.stdout
    assert "\x1b" not in result.stdout


def test_on_a_terminal_there_is_a_bar_and_colour() -> None:
    controller, terminal = pty.openpty()
    with running(GoodHandler) as url:
        process = subprocess.Popen(
            [FIRSTWORD, "check", url],
            env=environment(api_key=KEY) | {"TERM": "xterm", "COLUMNS": "100"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(controller, 65536):
                shown += piece
        except OSError:  # The last writer has closed it.
            pass
        finally:
            os.close(controller)
        assert process.wait(30) == 0
    text = shown.decode()
    assert f"/{len(CHECKS)}" in text
    assert "\x1b[32m" in text
    assert "To hand over to the platform" in text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("llm.example.com", ["http://", "https://"]),
        (f"http://user:{KEY}@localhost", ["user, password"]),
        (f"http://127.0.0.1:{free_port()}/v1", ["Cannot reach http://127.0.0.1", "Connection refused"]),
        (f"http://localhost:{free_port()}/v1", ["Cannot reach http://localhost", "Connection refused"]),
        ("http://no-such-host.invalid", ["Cannot reach http://no-such-host.invalid"]),
    ],
    ids=["no scheme", "credentials", "nobody at an address", "nobody at a name", "no such host"],
)
def test_a_url_where_nobody_is_gets_one_line(url: str, words: list[str]) -> None:
    result = check(url)
    assert_one_line(result, *words)
    assert KEY not in result.stderr


def test_wrong_use_gets_one_line(tmp_path: Path) -> None:
    with running(GoodHandler) as url:
        assert_one_line(check(url, key=None), "No key", "FIRSTWORD_API_KEY")
        assert_one_line(check(url, key="wrong"), "refuses the key", "401")
        assert_one_line(check(url, "--model", "no-such"), "model 'no-such'")
        assert_one_line(check(url, "--key", KEY, "--key-file", "x"), "not both")
        assert_one_line(check(url, "--json", str(tmp_path / "none" / "x.json")), "cannot be written")
        assert_one_line(check(url, "--junit", str(tmp_path)), str(tmp_path), "folder")
        same = str(tmp_path / "report")
        assert_one_line(check(url, "--json", same, "--junit", same), "--json", "--junit", same)


def test_what_speaks_no_http_or_says_nothing_gets_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = check(f"http://127.0.0.1:{silent.getsockname()[1]}", "--timeout-s", "0.5")
    assert_one_line(result, "within 0.5 s")
    with running(GoodHandler) as url:
        assert_one_line(check(url.replace("http:", "https:")), "Cannot reach https://127.0.0.1", "SSL", "http://")


def test_an_endpoint_that_does_not_stream_is_told_so() -> None:
    class Whole(GoodHandler):
        def respond(self, request: dict[str, object]) -> None:
            super().respond({**request, "stream": False})

    with running(Whole) as url:
        result = check(url, "--json", "-")
    assert result.returncode == 1
    outcomes = {one["id"]: (one["outcome"], one["seen"]) for one in json.loads(result.stdout)["checks"]}
    assert outcomes["stream.content-type"] == ("fail", "the content type is application/json, not text/event-stream")
    assert outcomes["stream.framing"] == ("fail", "no `data:` line came")
    assert outcomes["stream.done"][0] == outcomes["connection.hang-up"][0] == "skipped"
