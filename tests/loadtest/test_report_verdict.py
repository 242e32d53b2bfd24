"""Verdicts, knees and sizes, against figures worked out by hand."""

import pytest

from loadtest.calls import record
from loadtest.report.capacity import Plan, replicas_for
from loadtest.report.findings import Findings, find
from loadtest.report.reading import Reading
from loadtest.report.thresholds import Thresholds
from tests.loadtest.report_records import Maker, bad, good, invalid, ramp

PLAN = Plan()


def found(made: Maker, plan: Plan = PLAN, **wanted: float | None) -> Findings:
    return find(Reading(made.record()), Thresholds.model_validate(wanted), plan)


def missed(findings: Findings) -> set[str]:
    return {row.threshold for row in findings.verdict.rows if not row.is_met}


def measured(findings: Findings) -> dict[str, float | None]:
    return {row.threshold: row.measured for row in findings.verdict.rows}


def test_the_maker_makes_records_as_the_load_test_writes_them() -> None:
    assert set(good().record()) == set(record.KEYS)


def test_a_good_run_is_a_go() -> None:
    findings = found(good())
    assert (findings.verdict.word, findings.verdict.exit_code) == ("go", 0)
    assert measured(findings) == {
        "goodput_share_min": 1.0, "ttft_p50_s_max": 0.2, "ttft_p95_s_max": 0.2, "ttft_p99_s_max": 0.2,
        "first_sentence_p95_s_max": 0.5, "tpot_p99_s_max": 0.05, "spoiled_calls_share_max": 0.0,
        "failed_share_max": 0.0, "refused_share_max": 0.0,
    }  # fmt: skip
    assert findings.capacity.calls_per_replica == 10
    assert findings.capacity.carried is not None
    assert not findings.capacity.carried.is_knee


def test_a_bad_run_is_a_no_go_with_every_share_as_counted_by_hand() -> None:
    findings = found(bad())
    assert (findings.verdict.word, findings.verdict.exit_code) == ("no-go", 1)
    reported = measured(findings)
    assert reported["goodput_share_min"] == 160 / 200
    assert reported["refused_share_max"] == 10 / 200
    assert reported["failed_share_max"] == 10 / 200
    # 10 calls late and 10 failed, of 100 that were let in.
    assert reported["spoiled_calls_share_max"] == 20 / 100
    # Of 180 first words the 171st and the 179th are late ones; refusals are among no times.
    assert (reported["ttft_p95_s_max"], reported["ttft_p99_s_max"], reported["ttft_p50_s_max"]) == (2.5, 2.5, 0.2)
    assert missed(findings) == {
        "goodput_share_min", "ttft_p95_s_max", "ttft_p99_s_max", "spoiled_calls_share_max", "failed_share_max",
        "refused_share_max",
    }  # fmt: skip
    assert any("add replicas" in words for words in findings.advice)
    assert findings.capacity.carried is None


def test_a_saturated_client_makes_it_invalid_whatever_the_server_did() -> None:
    findings = found(invalid(), Plan(calls=100, gpu_hour_price=4))
    assert (findings.verdict.word, findings.verdict.exit_code) == ("invalid", 2)
    assert "of a CPU in 90 of 200 s" in findings.verdict.why[0]
    assert findings.capacity.replicas_needed is findings.capacity.price_per_1000_on_time is None
    assert "--processes" in findings.advice[0]


@pytest.mark.parametrize("scenario", ["steady", "ramp", "spike", "noisy-tenant"])
def test_a_run_without_turns_is_invalid(scenario: str) -> None:
    findings = found(Maker(scenario, calls_at_once=(0,)))
    assert findings.verdict.word == "invalid"
    assert "Only 0 turns" in findings.verdict.why[0]


def test_too_few_turns_say_nothing() -> None:
    assert found(good(), turns_min=160).verdict.word == "go"
    assert found(good(), turns_min=161).verdict.word == "invalid"


def test_too_few_turns_below_a_knee_call_for_a_ramp_that_ends_lower() -> None:
    findings = found(ramp(), turns_min=121)
    assert findings.verdict.word == "invalid"
    assert "end the ramp at a lower rate" in findings.verdict.why[0]
    assert "lower rate" in findings.advice[0]


def test_the_knee_is_the_last_step_before_the_one_that_broke() -> None:
    findings = found(ramp(), Plan(replicas=2, calls=100, gpu_hour_price=4.0, gpus_per_replica=3))
    assert findings.verdict.word == "go"
    assert [step.state for step in findings.verdict.knee.steps] == ["held", "held", "held", "broke"]
    carried = findings.capacity.carried
    assert carried is not None
    assert carried.is_knee
    # 40 turns in 50 s, of calls of two turns.
    assert (carried.calls_at_once, carried.turns_per_s) == (30, 0.8)
    assert carried.calls_per_s == pytest.approx(0.4)
    assert findings.capacity.calls_per_replica == 15
    # 100 / 15 = 6.67: seven and one more.
    assert findings.capacity.replicas_needed == 8
    # Six GPUs at 4 an hour; 0.8 turns on time a second are 2,880 an hour.
    assert findings.capacity.price_per_1000_on_time == pytest.approx(24 / 2880 * 1000)
    assert findings.verdict.figures.turns == 120


@pytest.mark.parametrize(
    ("calls", "per_replica", "needed"), [(30, 30, 2), (100, 30, 5), (1000, 30, 40), (1000, 10, 120), (1, 30, 2)]
)
def test_headroom_is_a_replica_or_a_fifth_whichever_is_more(calls: int, per_replica: float, needed: int) -> None:
    assert replicas_for(calls, per_replica) == needed


def test_a_step_that_held_after_one_that_broke_is_no_knee() -> None:
    made = Maker("ramp", rates=(0.1, 0.2, 0.3, 0.4), calls_at_once=(10, 20, 30, 40))
    for begin_s, ttft_s in ((0, 0.2), (50, 1.5), (100, 0.2), (150, 0.2)):
        made.steady_calls(begin_s, 20, every_s=2.4, ttft_s=ttft_s)
    knee = found(made, turns_min=20).verdict.knee
    assert knee.at is not None
    assert knee.at.calls_at_once == 10


def test_the_knee_is_lowered_until_all_turns_up_to_it_keep_what_no_step_alone_can_show() -> None:
    made = Maker("ramp", rates=(0.1, 0.2, 0.3), run_s=150, calls_at_once=(10, 20, 30))
    made.steady_calls(0, 20, every_s=2.4)
    made.steady_calls(50, 20, every_s=2.4)
    # TPOT is no matter of a step: it holds by itself, but 40 slow answers of 120 are more than one in a hundred.
    made.steady_calls(100, 20, every_s=2.4, tpot_s=0.4)
    knee = found(made, turns_min=20).verdict.knee
    assert [step.state for step in knee.steps] == ["held"] * 3
    assert knee.at is not None
    assert knee.broke_at is not None
    assert (knee.at.calls_at_once, knee.broke_at.calls_at_once) == (20, 30)


def test_a_knee_that_was_not_reached_is_said_to_be_so() -> None:
    made = Maker("ramp", rates=(0.1, 0.2), calls_at_once=(10, 20))
    made.steady_calls(0, 80, every_s=2.4)
    findings = found(made)
    assert findings.capacity.carried is not None
    assert (findings.capacity.carried.calls_at_once, findings.capacity.carried.is_knee) == (20, False)
    assert any("knee was not reached" in words for words in findings.advice)


def test_a_ramp_that_broke_at_its_first_step_is_a_no_go_however_few_turns_that_had() -> None:
    made = Maker("ramp", rates=(0.1, 0.2, 0.3, 0.4), calls_at_once=(10, 20, 30, 40))
    made.steady_calls(0, 12, every_s=2.4, ttft_s=1.5)
    made.steady_calls(50, 60, every_s=2.4)
    findings = found(made)
    assert findings.verdict.figures.turns == 24
    assert (findings.verdict.word, findings.capacity.carried) == ("no-go", None)
    assert any("Run it again" in words for words in findings.advice)


def test_a_ramp_that_never_held_is_a_no_go() -> None:
    made = Maker("ramp", rates=(0.1, 0.2), calls_at_once=(10, 20))
    made.steady_calls(0, 80, every_s=2.4, ttft_s=1.5)
    findings = found(made, turns_min=50)
    assert (findings.verdict.word, findings.capacity.carried) == ("no-go", None)


@pytest.mark.parametrize(("asked", "word"), [(25, "go"), (30, "go"), (31, "no-go"), (40, "no-go"), (41, "no-go")])
def test_a_ramp_is_judged_at_the_load_that_was_asked_for(asked: float, word: str) -> None:
    assert found(ramp(), calls_at_once_min=asked).verdict.word == word


def test_a_ramp_that_never_came_to_the_load_asked_for_is_invalid() -> None:
    made = Maker("ramp", rates=(0.1, 0.2), calls_at_once=(10, 20))
    made.steady_calls(0, 80, every_s=2.4)
    findings = found(made, calls_at_once_min=21)
    assert findings.verdict.word == "invalid"
    assert "raise -r" in findings.verdict.why[0]


def spike(late_until_s: float) -> Maker:
    """200 s, calls every second; the spike from 80 to 100 s, late from its beginning until then."""
    made = Maker("spike", rates=(1, 1, 1, 1, 5, 1, 1, 1, 1, 1), calls_at_once=(10,))
    for second in range(199):
        made.turn(second, float(second), ttft_s=3.0 if 80 <= second < late_until_s else 0.2)
        made.call(second, float(second), turns=1)
    return made


@pytest.mark.parametrize(
    ("late_until_s", "recovery_s", "word"), [(100, 0, "go"), (130, 30, "go"), (170, 70, "no-go"), (200, None, "no-go")]
)
def test_a_spike_is_judged_by_how_soon_it_is_over(late_until_s: float, recovery_s: float | None, word: str) -> None:
    findings = found(spike(late_until_s))
    assert measured(findings)["recovery_s_max"] == recovery_s
    assert findings.verdict.word == word


def test_a_noisy_tenants_own_turns_do_not_count() -> None:
    made = good()
    made.scenario = "noisy-tenant"
    for number in range(500, 700):
        made.turn(number, 90.0, tenant="noisy", outcome="refused", reason="503 overloaded (capacity)")
    assert found(made).verdict.word == "go"
    made.scenario = "steady"
    assert found(made).verdict.word == "no-go"


def test_the_tenants_own_limit_is_no_lack_of_goodput_but_a_refusal() -> None:
    made = good()
    for number in range(500, 540):
        made.turn(number, 90.0, outcome="refused", reason="429 rate_limit_exceeded")
    findings = found(made)
    assert measured(findings)["goodput_share_min"] == 1.0
    assert missed(findings) == {"refused_share_max"}
    assert measured(findings)["refused_share_max"] == 40 / 200
    assert any("429" in words for words in findings.advice)


def test_what_was_not_measured_is_not_met() -> None:
    made = good()
    made.turns = [turn | {"tpot_s": None} for turn in made.turns]
    findings = found(made)
    assert missed(findings) == {"tpot_p99_s_max"}
    assert any("No usage" in words for words in findings.advice)
    assert found(made, tpot_p99_s_max=None).verdict.word == "go"


def test_a_call_is_not_spoiled_by_what_comes_after_the_part_that_is_judged() -> None:
    made = ramp()
    for number in range(40, 60):  # Calls of the third step go on into the fourth.
        made.turn(number, 160.0, 2, ttft_s=1.5)
    findings = found(made)
    assert findings.verdict.word == "go"
    assert measured(findings)["spoiled_calls_share_max"] == 0.0


def test_a_sample_counts_for_the_whole() -> None:
    made = good()
    made.most_rows = 40
    findings = found(made, turns_min=40)
    assert findings.capacity.carried is not None
    assert findings.capacity.carried.turns_per_s == pytest.approx(160 / 200)
    assert measured(findings)["spoiled_calls_share_max"] == 0.0


def test_a_run_that_was_stopped_early_has_only_the_steps_that_it_came_to() -> None:
    made = ramp()
    reported = made.record() | {"run_s": 120.0}
    steps = Reading(reported).steps
    assert [(step.begin_s, step.end_s) for step in steps] == [(0, 50), (50, 100), (100, 120)]


def test_a_ramp_in_which_no_step_had_turns_enough_says_nothing() -> None:
    made = Maker("ramp", rates=(0.1,) * 10, calls_at_once=(3,) * 10)
    for step in range(10):
        made.steady_calls(step * 20, 8, every_s=2.4)
    verdict = found(made).verdict
    assert (verdict.word, verdict.knee.at) == ("invalid", None)
    assert "No step of the ramp had 20 turns" in " ".join(verdict.why)


def test_good_turns_of_thin_steps_do_not_hide_that_the_first_full_one_broke() -> None:
    made = Maker("ramp", run_s=200, rates=(0.1, 0.1, 0.1, 0.4), calls_at_once=(3, 3, 3, 20))
    for begin_s in (0, 50, 100):
        made.steady_calls(begin_s, 9, every_s=5)
    made.steady_calls(150, 28, every_s=1.6)
    made.steady_calls(151, 2, every_s=20, ttft_s=1.5)
    verdict = found(made, step_turns_min=20, goodput_share_min=0.95, ttft_p99_s_max=None, ttft_p95_s_max=None).verdict
    assert verdict.knee.at is None and verdict.knee.broke_at is not None
    assert verdict.word == "no-go"
