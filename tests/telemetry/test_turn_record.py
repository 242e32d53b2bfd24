"""The record of a turn: each turn is counted once, with the right outcome and its measurements."""

import asyncio
import time

import pytest
from prometheus_client import CollectorRegistry

from service.domain import Arrival, Caller, Outcome, Stage, TextDelta, Usage
from service.errors import (
    ClientGone,
    EngineFailed,
    InvalidRequest,
    ModelNotFound,
    NotReady,
    Overloaded,
    PromptTooLong,
    RateLimited,
)
from service.telemetry.metrics import STAGES
from service.telemetry.telemetry import OTHER, Telemetry
from tests.support.factories import make_job, make_turn

NEVER_LATE_S, ALWAYS_LATE_S = 3600.0, 1e-12


def make_telemetry(ttft_budget_s: float = NEVER_LATE_S) -> Telemetry:
    telemetry = Telemetry(ttft_budget_s=ttft_budget_s, model="m")
    telemetry.add_tenant("acme")
    return telemetry


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    registry: CollectorRegistry = telemetry.metrics.registry
    return registry.get_sample_value(f"firstword_{name}", {"tenant": "acme", "model": "m", **labels})


def outcomes(telemetry: Telemetry) -> dict[str, float | None]:
    """Return the outcomes that have been counted."""
    counts = {str(outcome): value(telemetry, "turns_total", outcome=outcome) for outcome in Outcome}
    return {outcome: count for outcome, count in counts.items() if count}


def arrive(*, gone: bool = False) -> Arrival:
    now_s = time.monotonic()
    arrival = Arrival(b"", now_s, (Stage("auth", now_s, now_s), Stage("read", now_s, now_s)))
    arrival.gone_s = now_s if gone else None
    return arrival


def test_nothing_of_a_whole_answer_is_heard_before_it_leaves() -> None:
    telemetry = make_telemetry(0.05)
    with pytest.raises(ClientGone), telemetry.turn("turn-1", Caller("acme"), arrive(gone=True)) as record:
        record.normalized(make_job(is_stream=False))
        record.said((TextDelta(0, "Hello there. And"),))
        time.sleep(0.06)
        raise ClientGone
    assert outcomes(telemetry) == {"late": 1}
    assert value(telemetry, "barge_ins_total", heard="nothing") == 1
    assert value(telemetry, "ttft_seconds_count") == 0
    with telemetry.turn("turn-2", Caller("acme"), arrive()) as record:
        record.normalized(make_job(is_stream=False))
        record.said((TextDelta(0, "Hello there. And"),))
        time.sleep(0.06)
        record.framed()
    assert outcomes(telemetry) == {"late": 2}
    for name in ("ttft_seconds_sum", "first_sentence_seconds_sum"):
        recorded_s = value(telemetry, name)
        assert recorded_s is not None and recorded_s > 0.06


def take_turn(telemetry: Telemetry, *, error: BaseException | None = None, has_spoken: bool = True, gone: bool = False) -> None:
    with telemetry.turn("turn-1", Caller("acme"), arrive(gone=gone)) as record:
        record.normalized(make_job())
        turn = make_turn(make_job())
        record.prepared(turn)
        record.passed("wait")
        turn.generated.tokens = 1
        if has_spoken:
            record.begun(0.1)
            record.said((TextDelta(0, "Hello there. And"),))
        if error is not None:
            raise error
        record.finished(Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=4))


@pytest.mark.parametrize(("budget_s", "outcome"), [(NEVER_LATE_S, "on_time"), (ALWAYS_LATE_S, "late")])
def test_an_answered_turn_is_counted_once_by_its_first_word(budget_s: float, outcome: str) -> None:
    telemetry = make_telemetry(budget_s)
    take_turn(telemetry)
    assert outcomes(telemetry) == {outcome: 1}
    for name in ("ttft", "first_sentence", "turn_duration"):
        assert value(telemetry, f"{name}_seconds_count") == 1
    assert telemetry.metrics.registry.get_sample_value("firstword_tpot_seconds_count") == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Overloaded("full"), "refused_capacity"),
        (NotReady("draining"), "refused_capacity"),
        (RateLimited("x", reason="turns", retry_after_s=1), "refused_limit"),
        (InvalidRequest("x"), "client_error"),
        (PromptTooLong(limit=1, given=2), "client_error"),
        (ModelNotFound("x"), "client_error"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (EngineFailed(), "failed"),
        (RuntimeError("x"), "failed"),
    ],
    ids=lambda row: row if isinstance(row, str) else type(row).__name__,
)
def test_a_turn_that_ends_with_an_error_is_counted_once_and_the_error_passes(error: BaseException, outcome: str) -> None:
    telemetry = make_telemetry()
    with pytest.raises(type(error)):
        take_turn(telemetry, error=error, has_spoken=False)
    assert outcomes(telemetry) == {outcome: 1}
    for name in ("ttft", "first_sentence", "turn_duration"):
        assert value(telemetry, f"{name}_seconds_count") == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Overloaded("x", reason="calls"), "calls"),
        (Overloaded("x"), "engine"),
        (NotReady("draining"), "not_ready"),
        (RateLimited("x", reason="turns", retry_after_s=1), "turns"),
        (RateLimited("x", reason="tokens", retry_after_s=None), "tokens"),
    ],
)
def test_a_refusal_is_counted_by_its_reason(error: Exception, reason: str) -> None:
    telemetry = make_telemetry()
    with pytest.raises(type(error)):
        take_turn(telemetry, error=error, has_spoken=False)
    assert value(telemetry, "refusals_total", reason=reason) == 1


def test_valid_turns_are_offered_whatever_becomes_of_them() -> None:
    telemetry = make_telemetry()
    with telemetry.turn("turn-1", Caller("acme"), arrive()) as record:
        assert value(telemetry, "turns_offered_total") == 0
        record.normalized(make_job())
        assert value(telemetry, "turns_offered_total") == 1, "as it arrives, not as it ends"
    with pytest.raises(NotReady), telemetry.turn("turn-2", Caller("acme"), arrive()):
        raise NotReady("draining")
    with pytest.raises(InvalidRequest), telemetry.turn("turn-3", Caller("acme"), arrive()):
        raise InvalidRequest("x")
    assert value(telemetry, "turns_offered_total") == 2


@pytest.mark.parametrize(("has_spoken", "heard"), [(True, "speech"), (False, "nothing")])
def test_a_caller_who_hangs_up_is_a_barge_in_and_what_was_made_is_wasted(has_spoken: bool, heard: str) -> None:
    telemetry = make_telemetry()
    with pytest.raises(ClientGone):
        take_turn(telemetry, error=ClientGone(), has_spoken=has_spoken, gone=True)
    assert outcomes(telemetry) == {"cancelled": 1}
    assert value(telemetry, "barge_ins_total", heard=heard) == 1
    assert value(telemetry, "wasted_tokens_total") == 1
    assert telemetry.metrics.registry.get_sample_value("firstword_abort_seconds_count") == 1


@pytest.mark.parametrize("has_spoken", [True, False])
def test_a_caller_who_gives_up_after_the_budget_had_a_late_turn(has_spoken: bool) -> None:
    telemetry = make_telemetry(ALWAYS_LATE_S)
    with pytest.raises(ClientGone):
        take_turn(telemetry, error=ClientGone(), has_spoken=has_spoken, gone=True)
    assert outcomes(telemetry) == {"late": 1}


def test_a_turn_that_breaks_after_its_first_word_still_has_a_ttft() -> None:
    telemetry = make_telemetry()
    with pytest.raises(EngineFailed):
        take_turn(telemetry, error=EngineFailed())
    assert outcomes(telemetry) == {"failed": 1}
    assert value(telemetry, "ttft_seconds_count") == 1


def test_tokens_of_finished_turns_are_added_up() -> None:
    telemetry = make_telemetry()
    take_turn(telemetry)
    take_turn(telemetry)
    with pytest.raises(EngineFailed):
        take_turn(telemetry, error=EngineFailed())
    kinds = ("prompt", "cached", "completion")
    assert [value(telemetry, f"{kind}_tokens_total") for kind in kinds] == [18, 8, 6]


def test_each_stage_that_was_passed_is_timed() -> None:
    telemetry = make_telemetry()
    take_turn(telemetry)
    with pytest.raises(Overloaded), telemetry.turn("turn-2", Caller("acme"), arrive()) as record:
        record.normalized(make_job())
        raise Overloaded("full")
    count = telemetry.metrics.registry.get_sample_value
    counts = [count("firstword_stage_seconds_count", {"stage": stage}) for stage in STAGES]
    assert dict(zip(STAGES, counts, strict=True)) == {
        "auth": 2,
        "read": 2,
        "normalize": 2,
        "render": 1,
        "wait": 1,
        "prefill": 1,
    }


def test_a_tenant_without_a_label_of_its_own_counts_as_other() -> None:
    telemetry = Telemetry(ttft_budget_s=1, model="m", max_tenants=1)
    telemetry.add_tenant("acme")
    telemetry.add_tenant("beta")
    with telemetry.turn("turn-1", Caller("beta"), arrive()):
        pass
    assert value(telemetry, "turns_total", tenant=OTHER, outcome="on_time") == 1
    assert value(telemetry, "turns_total", tenant="beta", outcome="on_time") is None
