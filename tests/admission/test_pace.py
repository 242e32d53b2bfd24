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
    for generated, reported, piece in [(1, 0, 2000), (1, 0, 2000), (2, 6000, 2000)]:
        at_s += BASE_S + TURN_S * generated + PROMPT_S * piece
        pace.observe(EngineStep(at_s, reported, generated, running=2, waiting=0, kv_usage=0.0))
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


def test_an_engine_that_was_slow_for_a_while_is_tried_again() -> None:
    pace = Pace()
    mix = [(turns, 0) for turns in range(1, 33) for _ in range(5)]
    feed(pace, mix)
    before = pace.most_turns(0.08, limit=100)
    at_s = pace.last_step.at_s if pace.last_step else 0.0
    pace.enter(at_s)
    for turns in range(32, 3, -1):  # A neighbour takes the machine, and ever fewer turns are let in.
        for _ in range(20):
            at_s += 4 * (BASE_S + TURN_S * turns)
            pace.observe(EngineStep(at_s, 0, turns, running=turns, waiting=0, kv_usage=0.0))
    pace.leave()
    slow = pace.most_turns(0.08, limit=100)
    assert slow < before / 4
    feed(pace, [(turns, 0) for _ in range(400) for turns in range(1, 5)])  # The neighbour has gone; some 40 s.
    assert pace.last_step is not None
    pace.doubt_beyond(4, pace.last_step.at_s)
    assert pace.most_turns(0.08, limit=100) == pytest.approx(before, rel=0.2)


def test_the_first_step_of_a_size_counts_no_more_than_a_slow_one() -> None:
    pace = Pace()
    feed(pace, [(turns, 0) for turns in (1, 2, 4) for _ in range(10)])
    at_s = pace.last_step.at_s if pace.last_step else 0.0
    pace.enter(at_s)
    pace.observe(EngineStep(at_s + 30.0, 0, 16, running=16, waiting=0, kv_usage=0.0))  # The machine was paused.
    assert pace.step_s(16) < 4 * (BASE_S + TURN_S * 16)


def test_what_did_not_pass_the_gate_is_not_measured() -> None:
    pace = Pace()
    for at_s in (1.0, 3.0, 5.0):
        pace.observe(EngineStep(at_s, 500, 1, running=1, waiting=0, kv_usage=0.0))
    assert not pace.is_known and pace.prompt_token_s == 0


def test_long_prompts_with_short_answers_are_soon_forgotten() -> None:
    pace = Pace()
    feed(pace, [(turns, 0) for turns in range(1, 17) for _ in range(10)])
    before = pace.most_turns(0.2, limit=16)
    feed(pace, [(1, 4500), *[(1, 0)] * 7] * 4)
    assert pace.most_turns(0.2, limit=16) < before / 2
    feed(pace, [(1, 0)] * 500)  # One turn alone, some 10 s.
    assert pace.most_turns(0.2, limit=16) == before


def test_a_first_long_prompt_keeps_nobody_waiting() -> None:
    """Its answer is still to come."""
    pace = Pace()
    feed(pace, [(1, 0)] * 10)
    before = pace.most_turns(0.2, limit=16)
    feed(pace, [(1, 1000)])
    assert pace.most_turns(0.2, limit=16) == before


def test_a_slow_first_step_keeps_nobody_out() -> None:
    """One step of a cold engine is no curve."""
    pace = Pace()
    pace.enter(10.0)
    pace.observe(EngineStep(10.6, 70, 2, running=2, waiting=0, kv_usage=0.0))
    pace.observe(EngineStep(10.9, 0, 2, running=2, waiting=0, kv_usage=0.0))
    assert pace.most_turns(0.2, limit=64) == 64
    pace.leave()
    feed(pace, [(2, 0)] * 20)
    assert pace.most_turns(BASE_S, limit=64) == 1  # Now it is known.


def test_the_mix_is_forgotten_also_while_others_steps_are_seen() -> None:
    """Warm-up turns, and pieces of a prompt that is not yet whole."""
    pace = Pace()
    feed(pace, [(1, 4500), (1, 0)])
    at_s = pace.last_step.at_s if pace.last_step else 0.0
    for second in range(1, 61):
        pace.observe(EngineStep(at_s + second, 0, 1, running=1, waiting=0, kv_usage=0.0))
    feed(pace, [(1, 0)])
    assert pace.prompt_per_generated < 1
