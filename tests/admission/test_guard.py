"""Room for one more call, by what those in progress will ask for."""

from dataclasses import replace

import pytest

from service.admission.calls import Calls
from service.admission.estimate import Estimator
from service.admission.forecast import Forecast
from service.admission.guard import Guard
from service.admission.pace import Pace
from service.admission.prefixes import prefix_keys
from service.admission.room import Waiter
from service.domain import EngineStep, Message, TenantPolicy, Usage
from tests.support.factories import make_job

STEP_S = 0.1
MOST_TURNS = 16
TURN_TOKENS = 30
PAUSE_S = 2.0


class Kit:
    """A guard that has seen an engine of 16 turns at once and 0.1 s a step, and a hundred calls of five turns."""

    def __init__(self, *, prompt_token_s: float = 0.0, prompt_tokens: int = 100, turn_s: float = 1.0) -> None:
        pace, self.estimator, self.calls, self.now_s = Pace(), Estimator(), Calls(), 0.0
        pace.enter(0.0)
        at_s = 0.0
        for _ in range(30):
            for running, prefilled in ((1, 0), (MOST_TURNS, 0), (MOST_TURNS, prompt_tokens)):
                at_s += STEP_S + prefilled * prompt_token_s
                pace.observe(EngineStep(at_s, prefilled, running, running=running, waiting=0, kv_usage=0.0))
        self.forecast = Forecast(pace, tpot_bound_s=0.25, max_turns=MOST_TURNS)
        self.guard = Guard(self.calls, self.forecast, self.estimator)
        job = make_job()
        for _ in range(200):
            self.estimator.finished(self.estimator.look_at(job), Usage(prompt_tokens, TURN_TOKENS, 0))
        for number in range(100):
            for turn in range(5):
                self.take_turn(-number, turn, turn_s=turn_s)

    def take_turn(self, call: int, turn: int, *, turn_s: float) -> None:
        said = [Message("user", f"call {call}")]
        for slot in range(turn):
            said += [Message("assistant", f"answer {slot}"), Message("user", f"question {slot}")]
        keys = prefix_keys(replace(make_job(), messages=tuple(said)))
        link = self.calls.offer(keys, "acme", 1.0, continues_call=turn > 0, now_s=self.now_s)
        self.calls.admit(link, self.now_s)
        self.calls.end(link, self.now_s + turn_s)
        self.now_s += PAUSE_S + turn_s

    def waiter(self) -> Waiter:
        return Waiter("acme", TenantPolicy(), continues_call=False, cost=self.estimator.usual, work_s=1.0)

    def calls_let_in(self, *, budget_s: float = 5.0, offered: int = 0) -> int:
        """How many can be in progress at once, of calls offered one by one after so many others that were refused."""
        self.now_s += 1000  # All others have ended.
        for number in range(offered):
            self.calls.offer([10_000 + number], "acme", 1.0, continues_call=False, now_s=self.now_s)
        started = 0
        while self.guard.has_room(self.waiter(), self.now_s, budget_s=budget_s) and started < 1000:
            started += 1
            self.take_turn(started, 0, turn_s=-PAUSE_S)  # All at one moment.
        return started


def test_as_many_calls_are_let_in_as_keep_the_engine_at_its_limit() -> None:
    kit = Kit()
    turn_s = kit.forecast.turn_s(kit.estimator.usual)
    at_once = MOST_TURNS * (PAUSE_S + turn_s) / turn_s  # Each runs, then pauses.
    assert 0.6 * at_once < kit.calls_let_in() < 1.4 * at_once


def test_long_prompts_let_fewer_calls_in() -> None:
    assert Kit(prompt_token_s=0.004).calls_let_in() < 0.7 * Kit().calls_let_in()


def test_how_fast_calls_went_so_far_says_nothing_of_how_many_may_be_let_in() -> None:
    """Where few run turns are short, and calls ask for the more: as many as may would have longer ones."""
    assert Kit(prompt_token_s=0.004, turn_s=0.2).calls_let_in(offered=500) == pytest.approx(
        Kit(prompt_token_s=0.004, turn_s=9.0).calls_let_in(offered=500), rel=0.1
    )


def test_a_budget_that_leaves_prompts_little_time_to_queue_lets_fewer_calls_in_under_overload() -> None:
    at_once = {
        (budget_s, offered): Kit(prompt_token_s=0.0015).calls_let_in(budget_s=budget_s, offered=offered)
        for budget_s in (60.0, 0.6)
        for offered in (0, 500)
    }
    assert at_once[0.6, 500] < 0.5 * at_once[60.0, 500]
    assert at_once[0.6, 0] == at_once[60.0, 0]  # Where no more are offered than can be answered, they wait for each other.


def test_a_budget_below_what_a_prompt_takes_keeps_all_others_out_under_overload() -> None:
    assert Kit(prompt_token_s=0.0015).calls_let_in(budget_s=0.1, offered=500) == 0


def test_where_no_call_was_ever_continued_there_is_room() -> None:
    kit = Kit()
    calls = Calls()
    fresh = Guard(calls, kit.forecast, kit.estimator)
    calls.offer([1], "acme", 1.0, continues_call=False, now_s=0.0)
    assert fresh.has_room(kit.waiter(), 0.0, budget_s=5.0)
    assert fresh.overtaking_share(kit.waiter(), 0.0) == 0.0
