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
