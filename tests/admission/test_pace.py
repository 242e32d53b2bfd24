"""What is learned of an engine from its steps."""

import random

import pytest

from service.admission.pace import Pace
from service.domain import EngineStep

BASE_S, TURN_S, PROMPT_S = 0.017, 0.0018, 0.0009


def feed(pace: Pace, steps: list[tuple[int, int]], *, running_more: int = 0, jitter: float = 0.0) -> None:
    """Steps of (turns, prompt tokens) on an engine that costs what the constants say."""
    rng = random.Random(1)
    at_s = pace.last_step.at_s if pace.last_step else 10.0
    pace.enter(at_s)
    for turns, prompt in steps:
        at_s += (BASE_S + TURN_S * turns + PROMPT_S * prompt) * rng.uniform(1 - jitter, 1 + jitter)
        pace.observe(EngineStep(at_s, prompt, turns, running=turns + running_more, waiting=0, kv_usage=0.0))
    pace.leave()


@pytest.mark.parametrize("jitter", [0.0, 0.3])
def test_a_step_costs_more_with_more_turns(jitter: float) -> None:
    pace = Pace()
    feed(pace, [(turns, 0) for turns in range(1, 33) for _ in range(10)], jitter=jitter)
    for turns in (1, 5, 12, 24, 32):
        assert pace.step_s(turns) == pytest.approx(BASE_S + TURN_S * turns, rel=0.1 + jitter / 2)


def test_beyond_what_was_measured_it_goes_on_as_steeply() -> None:
    pace = Pace()
    feed(pace, [(turns, 0) for turns in (1, 2, 4, 8, 16) for _ in range(10)])
    assert pace.step_s(64) == pytest.approx(BASE_S + TURN_S * 64, rel=0.05)


def test_a_prompt_token_costs_what_it_adds_to_a_step() -> None:
    pace = Pace()
    feed(pace, [(4, 0)] * 20 + [(5, 300), (5, 0), (6, 80)] * 5)
    assert pace.prompt_token_s == pytest.approx(PROMPT_S, rel=0.05)


def test_a_long_prompt_in_pieces_is_counted_whole() -> None:
    """Its tokens are told when its last piece is done; the steps before carry time and other turns' tokens."""
    pace = Pace()
    feed(pace, [(1, 0)] * 20)
    at_s = pace.last_step.at_s if pace.last_step else 0.0
    pace.enter(at_s)
    for generated, told, piece in [(1, 0, 2000), (1, 0, 2000), (2, 6000, 2000)]:
        at_s += BASE_S + TURN_S * generated + PROMPT_S * piece
        pace.observe(EngineStep(at_s, told, generated, running=2, waiting=0, kv_usage=0.0))
    assert pace.prompt_token_s == pytest.approx(PROMPT_S, rel=0.05)
    assert pace.step_s(1) == pytest.approx(BASE_S + TURN_S, rel=0.01)


def test_idle_time_is_no_step() -> None:
    pace = Pace()
    feed(pace, [(1, 0)] * 20)
    pace.enter(5000.0)
    pace.observe(EngineStep(5000.0 + BASE_S + TURN_S, 0, 1, running=1, waiting=0, kv_usage=0.0))
    assert pace.step_s(1) == pytest.approx(BASE_S + TURN_S, rel=0.01)


def test_one_pause_of_the_machine_changes_little() -> None:
    pace = Pace()
    feed(pace, [(8, 0)] * 50)
    before = pace.step_s(8)
    assert pace.last_step is not None
    pace.enter(pace.last_step.at_s)
    pace.observe(EngineStep(pace.last_step.at_s + 2.0, 0, 8, running=8, waiting=0, kv_usage=0.0))
    assert before < pace.step_s(8) < 1.3 * before


def test_how_many_turns_keep_to_a_bound() -> None:
    pace = Pace()
    assert pace.most_turns(0.2, limit=256) == 256  # Nothing is known: nothing is bounded.
    feed(pace, [(turns, 0) for turns in (1, 2, 4, 8, 16) for _ in range(10)])
    alone = pace.most_turns(0.2, limit=256)
    assert alone == pytest.approx((0.2 - BASE_S) / TURN_S, rel=0.05)
    feed(pace, [(16, 640)] + [(16, 0)] * 30)  # A prompt token for each token generated, about.
    assert pace.most_turns(0.2, limit=256) < alone
    assert pace.most_turns(0.001, limit=256) == 1
