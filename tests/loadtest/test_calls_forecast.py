"""Whether a ramp is long enough is told before it begins, and by the same schedule."""

from loadtest.calls.forecast import can_be_judged, shortest_ramp_s, turns_of_steps
from loadtest.launch import doubt_of_length
from loadtest.report.thresholds import Thresholds

ENOUGH = {"of_a_step": 20, "of_all": 60}


def test_a_longer_ramp_has_more_turns_and_the_shortest_that_can_be_judged_can_be() -> None:
    short, long = (sum(turns_of_steps("ramp", 1, 0.8, run_s)) for run_s in (60, 300))
    assert 30 < short < long / 4
    least_s = shortest_ramp_s(1, 0.8, **ENOUGH)
    assert least_s == 150, "docs/launch.md and --help say so"
    assert can_be_judged(turns_of_steps("ramp", 1, 0.8, least_s), **ENOUGH)
    assert shortest_ramp_s(1, 0.001, **ENOUGH) is None


def test_who_asks_for_a_minute_is_told_before_it_begins() -> None:
    reported = doubt_of_length(60, 0.8, 1, Thresholds())
    assert reported.startswith("60 s at 0.8 calls/s") and "--duration 150 or more" in reported
    assert doubt_of_length(300, 0.8, 1, Thresholds()) == ""
    assert doubt_of_length(60, 0.8, 1, Thresholds(step_turns_min=1, turns_min=15)) == ""
