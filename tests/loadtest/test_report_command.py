"""`python -m loadtest.report` as a user and a CI system have it: files, exit status, and words for wrong use."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest

from tests.loadtest.report_records import Maker, bad, good, invalid, ramp

ROOT = Path(__file__).resolve().parents[2]


def report(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "loadtest.report", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("made", "code", "word"), [(good(), 0, "GO"), (bad(), 1, "NO-GO"), (invalid(), 2, "INVALID"), (Maker(), 2, "INVALID")]
)
def test_the_exit_status_is_the_verdict(made: Maker, code: int, word: str, tmp_path: Path) -> None:
    done = report(made.write(tmp_path))
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (code, word, "")


def test_it_writes_a_page_a_json_file_and_a_junit_file_where_it_is_told(tmp_path: Path) -> None:
    sized = ("--replicas", "2", "--calls", "100", "--gpu-hour-price", "4", "--gpus-per-replica", "3")
    done = report(ramp().write(tmp_path, "ramp"), "--out", tmp_path / "new", *sized)
    assert done.returncode == 0
    assert {file.name for file in (tmp_path / "new").iterdir()} == {"ramp-report.html", "ramp-report.json", "ramp-junit.xml"}
    reported = orjson.loads((tmp_path / "new" / "ramp-report.json").read_bytes())
    assert (reported["verdict"], reported["exit_code"]) == ("go", 0)
    assert reported["capacity"]["replicas_needed"] == 8
    # 40 turns in the 50 s of the last step that held, over two replicas; and 80 % of it for the autoscaler.
    assert reported["capacity"]["turns_per_s_per_replica"] == pytest.approx(0.4)
    assert reported["capacity"]["autoscale_turns_per_s"] == pytest.approx(0.32)
    assert reported["capacity"]["price_per_1000_on_time"] == pytest.approx(8.3333, abs=0.001)
    assert [step["state"] for step in reported["steps"]] == ["held", "held", "held", "broke"]
    page = (tmp_path / "new" / "ramp-report.html").read_text()
    assert "<dt>calls at once carried</dt><dd>30.0</dd>" in page
    assert "<dt>price of 1,000 turns on time</dt><dd>8.333</dd>" in page
    assert "at 0.32 for each replica (80 % of the 0.40 that it carried)" in page
    assert "Set maxReplicas to 8 or more, for 100 calls at once" in page


@pytest.mark.parametrize(("made", "failures", "errors", "skipped"), [(good(), 0, 0, 0), (bad(), 6, 0, 0), (invalid(), 0, 1, 9)])
def test_a_ci_system_sees_each_threshold(made: Maker, failures: int, errors: int, skipped: int, tmp_path: Path) -> None:
    report(made.write(tmp_path))
    suites = ElementTree.parse(tmp_path / "run-junit.xml").getroot()
    reported = {"tests": "10", "failures": str(failures), "errors": str(errors), "skipped": str(skipped)}
    for counted in (suites, *suites):  # As they stand in the file: of all of it, and of its one suite.
        assert {name: counted.get(name) for name in reported} == reported


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("ttft_p95_max_s: 1", "ttft_p95_max_s is not a threshold. Did you mean ttft_p95_s_max?"),
        ("goodput: 0.9", "goodput is not a threshold. Did you mean goodput_share_min?"),
        ("goodput_share_min: 95", "goodput_share_min must be a number from 0 to 1, or null, given 95"),
        ("goodput_share_min: '0.9'", "goodput_share_min must be a number from 0 to 1, or null, given '0.9'"),
        ("ttft_p50_s_max: soon", "ttft_p50_s_max must be a number above 0, or null, given 'soon'"),
        ("ttft_p50_s_max: .inf", "ttft_p50_s_max must be a number above 0, or null, given inf"),
        ("ttft_p50_s_max: .nan", "ttft_p50_s_max must be a number above 0, or null, given nan"),
        ("failed_share_max: .nan", "failed_share_max must be a number from 0 to 1, or null, given nan"),
        ("calls_at_once_min: .inf", "calls_at_once_min must be a number above 0, or null, given inf"),
        ("recovery_s_max: true", "recovery_s_max must be a number above 0, or null, given True"),
        ("turns_min: '60'", "turns_min must be a whole number of 1 or more, given '60'"),
        ("turns_min: null", "turns_min must be a whole number of 1 or more, given None"),
        ("step_turns_min: 0", "step_turns_min must be a whole number of 1 or more, given 0"),
        ("turns_min: 60\nturns_min: 20", "turns_min is set more than once: 60 in line 1, 20 in line 2"),
        ("1: 2", "1 is not a threshold. Valid names are: goodput_share_min, ttft_p50_s_max, "),
        ("colour: blue", "colour is not a threshold. Valid names are: goodput_share_min, "),
        ("a: 2026-99-99", "is not valid YAML"),
        pytest.param("[" * 5000, "is not valid YAML", id="endless"),
        ("- 1", "must contain names and values"),
        ("a: 1\nb: [", "is not valid YAML (line 2: "),
    ],
)
def test_a_wrong_threshold_file_is_told_in_a_sentence(yaml: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "wanted.yaml"
    file.write_text(yaml)
    done = report(good().write(tmp_path), "--thresholds", file)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run-report.html").exists()


def test_thresholds_of_a_file_are_those_that_are_judged(tmp_path: Path) -> None:
    file = tmp_path / "wanted.yaml"
    file.write_text("ttft_p95_s_max: 0.1\ntpot_p99_s_max: null\n")
    done = report(good().write(tmp_path), "--thresholds", file)
    assert done.returncode == 1
    assert "ttft_p95_s_max: measured 0.200 s; required at most 0.100 s." in done.stdout
    assert "tpot_p99_s_max" not in done.stdout


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"version": 99}', "has version 99, but only version 1 can be read"),
        (b"[]", "is not a record"),
        (b'{"version": 1, "verdict": "go"}', "is not a record"),
        (b"what?", "is not valid JSON"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_record_is_told_in_a_sentence(content: bytes | None, words: str, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    if content is not None:
        file.write_bytes(content)
    done = report(file)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


class _Elements(HTMLParser):
    """The names of all elements."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.add(tag)


def test_hostile_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>$\\frac{1}$\u202e"
    made = bad()
    made.doubts, made.disagreements = (evil,), (evil,)
    for turn in made.turns:
        turn["agent"] = evil
        turn["reason"] = turn["reason"] and evil
    done = report(made.write(tmp_path))
    page = (tmp_path / "run-report.html").read_text()
    seen = _Elements()
    seen.feed(page)
    assert done.returncode == 2
    assert not seen.names & {"script", "img", "iframe", "object"}
    assert page.count("&lt;script&gt;alert(1)") > 4


def test_a_run_whose_server_has_no_metrics_says_so(tmp_path: Path) -> None:
    made = good()
    made.has_server = False
    assert report(made.write(tmp_path)).returncode == 0
    assert "nothing to compare" in (tmp_path / "run-report.html").read_text()


def test_where_client_and_server_disagree_stands_in_the_page_and_in_what_to_do(tmp_path: Path) -> None:
    made = good()
    made.disagreements = ("turns refused: 3 by the server, 0 by the client",)
    done = report(made.write(tmp_path))
    assert f"Client and server disagree: {made.disagreements[0]}. Find the cause" in done.stdout
    assert made.disagreements[0] in (tmp_path / "run-report.html").read_text()
