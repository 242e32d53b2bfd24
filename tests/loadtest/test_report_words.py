"""What a report says where something is missing, or another command is the one to run again."""

from pathlib import Path

import pytest
from rich.console import Console

from loadtest.calls.honesty import MEND
from loadtest.report import page
from loadtest.report.__main__ import show
from loadtest.report.capacity import Plan
from loadtest.report.findings import Findings, find
from loadtest.report.flags import LAUNCH, LOCUST, Flags
from loadtest.report.reading import Reading
from loadtest.report.thresholds import Thresholds
from tests.loadtest.report_records import Maker, good, ramp
from tests.loadtest.test_report_command import report


def findings_of(made: Maker, plan: Plan | None = None, flags: Flags = LOCUST, **reported: object) -> Findings:
    return find(Reading(made.record() | reported), Thresholds(), plan or Plan(), flags)


def terminal(findings: Findings) -> str:
    console = Console(highlight=False, soft_wrap=True)
    with console.capture() as shown:
        show(findings, console)
    return shown.get()


def noisy() -> Maker:
    made = good()
    made.scenario = "noisy-tenant"
    return made


def test_who_asks_for_replicas_and_a_price_of_no_ramp_is_told_on_the_page_and_in_the_terminal() -> None:
    findings = findings_of(noisy(), Plan(calls=500, gpu_hour_price=2.5, gpus_per_replica=2))
    reported = "--calls and --gpu-hour-price: replicas and price need --scenario ramp, but this run was noisy-tenant."
    assert reported in terminal(findings) and reported in page.render(findings)
    assert "need --scenario ramp" not in terminal(findings_of(ramp(), Plan(calls=500)))
    assert "which needs --gpu-hour-price" in terminal(findings_of(ramp(), Plan(gpus_per_replica=2)))


def test_settings_that_differ_are_to_be_changed_and_no_disagreement() -> None:
    made = good()
    remark = "the server's TTFT budget is 5 s and this run's is 1 s …: set FIRSTWORD_TTFT_BUDGET_S=1 on the server"
    findings = findings_of(made, server=made.record()["server"] | {"remarks": [remark]})
    assert "T" + remark[1:] in terminal(findings) and "Find the cause" not in terminal(findings)
    shown = page.render(findings)
    assert "The counts agree." in shown and "Settings differ: the server&#39;s TTFT budget" in shown


@pytest.mark.parametrize(("flags", "named", "others"), [(LOCUST, "(-t)", "--duration"), (LAUNCH, "(--duration)", "-t)")])
def test_advice_names_the_options_of_the_command_that_was_run(flags: Flags, named: str, others: str) -> None:
    reported = terminal(findings_of(Maker("ramp", rates=(0.1, 0.2)), flags=flags))
    assert "INVALID" in reported and named in reported and others not in reported


def test_launch_has_no_processes_to_give() -> None:
    made = ramp()
    made.doubts = (f"turns were sent late; {MEND}",)
    assert "--processes" in terminal(findings_of(made)) and "--processes" not in terminal(findings_of(made, flags=LAUNCH))


def test_a_report_of_launch_points_to_the_page_for_ones_own_endpoint(tmp_path: Path) -> None:
    done = report(ramp().write(tmp_path), "--of-launch")
    assert "docs/launch.md" in done.stdout and "--scenario" not in done.stdout


def test_an_invalid_report_says_what_was_judged_too() -> None:
    made = noisy()
    made.doubts = ("the event loop was blocked",)
    assert "judged: the quiet tenant's turns" in terminal(findings_of(made))


def test_a_spike_that_never_recovered_says_so_where_the_figure_would_stand() -> None:
    made = Maker("spike", run_s=200, rates=(0.4, 2.0, 0.4, 0.4), calls_at_once=(10, 50, 50, 50))
    made.steady_calls(0, 40, every_s=1.2)
    made.steady_calls(50, 60, every_s=2.4, ttft_s=3.0)
    findings = findings_of(made)
    words = "not recovered by the end of the run"
    assert f"recovery_s_max: {words}; required at most 60.0 s." in terminal(findings)
    assert f"<td>{words}</td>" in page.render(findings)
