"""Whoever is told no-go is told what to do."""

from loadtest.report.advice import KNOBS
from loadtest.report.thresholds import Thresholds
from tests.loadtest.report_records import good, ramp
from tests.loadtest.test_report_verdict import found, missed


def test_every_threshold_that_can_say_no_go_has_advice_and_no_advice_is_without_one() -> None:
    can_say_no_go = set(Thresholds.model_fields) - {"turns_min", "step_turns_min"}
    advised = {part: {name for name in can_say_no_go if name.startswith(part)} for part in KNOBS}
    assert set().union(*advised.values()) == can_say_no_go
    assert all(advised.values())


def test_a_run_that_missed_its_goodput_alone_is_told_what_to_do() -> None:
    made = good()
    made.steady_calls(1, 8, every_s=2.0, ttft_s=1.01)
    findings = found(made, ttft_p95_s_max=None)
    assert missed(findings) == {"goodput_share_min"}
    assert KNOBS["goodput"] in findings.advice


def test_a_ramp_that_carried_less_than_was_asked_for_is_told_what_to_do() -> None:
    assert KNOBS["calls_at_once"] in found(ramp(), calls_at_once_min=31).advice
