"""When the first word would come, on an engine whose pace is known."""

import pytest

from service.admission.estimate import Cost
from service.admission.forecast import Forecast
from service.admission.load import Load
from service.admission.pace import Pace
from service.admission.room import Waiter
from service.domain import EngineStep, TenantPolicy

STEP_S, PROMPT_TOKEN_S = 0.1, 0.002
LONG = 250
"""A prompt that takes half a second, in one step: more than a portion."""


class Kit:
    """An engine in which one turn runs, at the end of a step."""

    def __init__(self) -> None:
        self.pace, self.load, self.now_s = Pace(), Load(), 0.0
        self.pace.enter(0.0)
        self.load.add(waiter(0))
        for prefilled in [0] * 20 + [LONG] * 20:
            self.now_s += STEP_S + prefilled * PROMPT_TOKEN_S
            self.pace.observe(EngineStep(self.now_s, prefilled, 1, running=1, waiting=0, kv_usage=0.0))
        self.forecast = Forecast(self.pace, tpot_bound_s=0.25, max_turns=100)

    def ttft_s(self, *, after_s: float = 0.0, ahead: int = 0) -> float:
        """Of a turn with a long prompt that comes so long after the last step, behind so many like it."""
        others = [waiter(LONG)] * ahead
        ttft = self.forecast.ttft(waiter(LONG), self.load, others, self.now_s + after_s, limit=100, overtaken=0.0)
        return ttft.likely_s


def waiter(uncached_tokens: int) -> Waiter:
    return Waiter("acme", TenantPolicy(), continues_call=True, cost=Cost(1000, uncached_tokens, 50), work_s=1.0)


def test_a_long_prompt_is_computed_in_one_step_after_the_one_under_way() -> None:
    assert Kit().ttft_s() == pytest.approx(STEP_S + (STEP_S + LONG * PROMPT_TOKEN_S), rel=0.05)


def test_what_the_step_under_way_has_taken_is_not_to_come() -> None:
    kit = Kit()
    assert kit.ttft_s() - kit.ttft_s(after_s=0.06) == pytest.approx(0.06)
    assert kit.ttft_s(after_s=0.5) == pytest.approx(STEP_S + LONG * PROMPT_TOKEN_S, rel=0.05)  # It is late: it ends now.


def test_prompts_in_the_engine_are_computed_first() -> None:
    kit = Kit()
    alone_s = kit.ttft_s(after_s=0.05)
    kit.load.add(waiter(LONG))
    assert kit.ttft_s(after_s=0.05) - alone_s == pytest.approx(LONG * PROMPT_TOKEN_S, rel=0.05)


def test_each_long_prompt_ahead_is_one_step_more() -> None:
    kit = Kit()
    assert kit.ttft_s(ahead=2) - kit.ttft_s() == pytest.approx(2 * (STEP_S + LONG * PROMPT_TOKEN_S), rel=0.05)


def test_as_many_turns_run_as_come_while_one_does() -> None:
    kit = Kit()
    cost = Cost(100, 20, 50)
    per_s = 0.1
    prompts_free = 1 - per_s * 20 * PROMPT_TOKEN_S
    turn_s = 50 * STEP_S / prompts_free  # Here a step takes as long whatever the number of turns.
    running = kit.forecast.running_at(cost, per_s)
    assert per_s * turn_s <= running < per_s * turn_s + 1
    assert kit.forecast.turn_s_at(cost, per_s) == pytest.approx(turn_s + 20 * PROMPT_TOKEN_S + 2 * STEP_S)


def test_where_more_come_than_can_be_answered_as_many_run_as_may() -> None:
    kit = Kit()
    cost = Cost(100, 20, 50)
    assert kit.forecast.running_at(cost, 1000.0) == kit.forecast.most_turns
    assert kit.forecast.turn_s_at(cost, 1000.0) == pytest.approx(kit.forecast.turn_s_at(cost, kit.forecast.turns_per_s(cost)))


def test_before_any_was_measured_a_turn_takes_no_time() -> None:
    assert Forecast(Pace(), tpot_bound_s=0.25, max_turns=100).turn_s_at(Cost(100, 20, 50), 1.0) == 0.0
