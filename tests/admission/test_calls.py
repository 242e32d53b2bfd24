"""Which turns belong to one call, and how many more the calls in progress will bring."""

import math
from dataclasses import replace

import pytest

from service.admission.calls import Calls, Link
from service.admission.prefixes import prefix_keys
from service.domain import Message
from tests.support.factories import make_job

CYCLE_S = 5.0


def take_turn(
    calls: Calls, number: int, turn: int, at_s: float, *, tenant: str = "acme", system: str = "You sell tickets."
) -> Link:
    said = [Message("system", system), Message("user", f"call {number}")]
    for place in range(turn):
        said += [Message("assistant", f"answer {place}"), Message("user", f"question {place}")]
    job = replace(make_job(), messages=tuple(said), tenant=tenant)
    link = calls.offer(prefix_keys(job), tenant, 1.0, continues_call=turn > 0, now_s=at_s)
    calls.admit(link, at_s)
    calls.end(link, at_s)
    return link


def taught(turns: int = 5) -> tuple[Calls, float]:
    """After a hundred calls of so many turns each, one begun each second; and the time."""
    calls = Calls()
    plan = sorted((number + CYCLE_S * turn, number, turn) for number in range(100) for turn in range(turns))
    for at_s, number, turn in plan:
        take_turn(calls, number, turn, at_s)
    return calls, plan[-1][0] + 30


def test_turns_of_one_call_are_known_by_their_messages() -> None:
    calls, _ = taught()
    assert calls.cycle_s("acme") == pytest.approx(CYCLE_S)


def test_turns_per_call_are_learned_as_calls_end() -> None:
    calls, now_s = taught()
    calls.turns_to_come_per_s("acme", now_s, turn_s=0.0)
    for number in range(3000):
        calls.offer([number], "acme", 1.0, continues_call=False, now_s=now_s)
    assert calls.demand_per_s(now_s) / 100 == pytest.approx(5, rel=0.6)  # Remembered over about a hundred, whose end came last.


def test_calls_in_progress_will_ask_for_turns() -> None:
    calls, now_s = taught()
    assert calls.turns_to_come_per_s("acme", now_s, turn_s=0.0) == 0
    for number in range(200, 210):
        take_turn(calls, number, 0, now_s)
    assert calls.turns_to_come_per_s("acme", now_s, turn_s=0.0) == pytest.approx(10 * 0.8 / CYCLE_S, rel=0.4)
    assert calls.turns_to_come_per_s("acme", now_s + 3 * CYCLE_S, turn_s=0.0) == 0  # Silent for too long: they have ended.


def test_single_questions_beside_conversations_do_not_hide_what_those_will_ask_for() -> None:
    calls, now_s = taught()
    for number in range(1000, 1200):
        take_turn(calls, number, 0, now_s + number - 1000)
    now_s += 300  # All have ended.
    for number in range(200, 210):
        take_turn(calls, number, 0, now_s)
    assert calls.turns_to_come_per_s("acme", now_s, turn_s=0.0) < 1 / CYCLE_S
    for number in range(200, 210):
        take_turn(calls, number, 1, now_s + CYCLE_S)
    assert calls.turns_to_come_per_s("acme", now_s + CYCLE_S, turn_s=0.0) == pytest.approx(10 * 0.75 / CYCLE_S, rel=0.4)


def test_what_one_agents_callers_do_says_little_of_anothers() -> None:
    """Single questions, then calls with another system prompt: a few of those, and their like are known."""
    calls, now_s = taught()
    for number in range(200):  # They have no system prompt: nothing else tells them apart.
        link = calls.offer([number], "acme", 1.0, continues_call=False, now_s=now_s)
        calls.admit(link, now_s)
        calls.end(link, now_s)
    now_s += 60
    asked = []
    for batch in range(2):
        for number in range(10):
            take_turn(calls, 1000 + 10 * batch + number, 0, now_s, system="You book tables.")
        asked.append(calls.turns_to_come_per_s("acme", now_s, turn_s=0.0))
        for number in range(10):
            take_turn(calls, 1000 + 10 * batch + number, 1, now_s + CYCLE_S, system="You book tables.")
        now_s += 60
    assert asked[1] > 3 * asked[0] > 0


def test_a_turn_tried_again_is_no_other_turn() -> None:
    calls, now_s = taught()
    once = calls.turns_to_come_per_s("acme", now_s, turn_s=0.0, more=1)
    for _ in range(3):
        take_turn(calls, 200, 0, now_s)
    assert calls.turns_to_come_per_s("acme", now_s, turn_s=0.0) == pytest.approx(once, rel=0.4)
    take_turn(calls, 200, 1, now_s + CYCLE_S)
    take_turn(calls, 200, 1, now_s + CYCLE_S)
    assert 0 < calls.turns_to_come_per_s("acme", now_s + CYCLE_S, turn_s=0.0) < once


def test_turns_that_nothing_follows_ask_for_none() -> None:
    calls = Calls()
    for number in range(50):
        take_turn(calls, number, 0, float(number))
    assert calls.cycle_s("acme") is None
    assert calls.turns_to_come_per_s("acme", 50.0, turn_s=0.0) == 0


def test_one_tenants_calls_do_not_count_against_anothers_share() -> None:
    calls, now_s = taught()
    for turn in range(2):
        for number in range(200, 220):
            take_turn(calls, number, turn, now_s + turn * CYCLE_S, tenant="flood")
    now_s += CYCLE_S
    everybodys = calls.turns_to_come_per_s("flood", now_s, more=1, turn_s=0.0)
    mine = calls.turns_to_come_per_s("acme", now_s, more=1, turn_s=0.0)
    assert mine < everybodys / 4


def test_first_turns_offered_are_counted_whether_let_in_or_not() -> None:
    calls = Calls()
    for number in range(400):
        calls.offer([number], "acme", 1.0, continues_call=False, now_s=number / 4)
        calls.offer([number], "acme", 1.0, continues_call=True, now_s=number / 4)
    by_chance = math.sqrt(4 * 30)  # Of those in half a minute.
    assert calls.demand_per_s(100.0) == pytest.approx(4 - by_chance / 30, rel=0.1)
    assert calls.demand_per_s(300.0) < 0.1


def test_what_one_tenants_calls_are_like_says_nothing_of_anothers() -> None:
    calls, now_s = taught()
    calls.offer([1], "questions", 1.0, continues_call=False, now_s=now_s)
    assert calls.turns_to_come_per_s("questions", now_s, turn_s=0.0, more=1) == 0


def test_the_longer_a_turn_takes_the_less_a_call_asks_for() -> None:
    calls = Calls()
    pause_s, turn_s = 2.0, 3.0
    for turn in range(5):
        at_s = turn * (pause_s + turn_s)
        link = take_turn(calls, 1, turn, at_s)
        calls.end(link, at_s + turn_s)
    now_s = 5 * (pause_s + turn_s)
    asked = [calls.turns_to_come_per_s("acme", now_s, turn_s=each, more=1) for each in (turn_s, 2 * turn_s)]
    assert asked[1] == pytest.approx(asked[0] * (pause_s + turn_s) / (pause_s + 2 * turn_s))


def test_a_call_is_in_progress_for_as_long_as_its_turn_runs() -> None:
    calls, now_s = taught()
    link = take_turn(calls, 200, 0, now_s)
    calls.admit(link, now_s)
    asked = calls.turns_to_come_per_s("acme", now_s, turn_s=0.0)
    assert calls.turns_to_come_per_s("acme", now_s + 100 * CYCLE_S, turn_s=0.0) == asked > 0
    calls.end(link, now_s + 100 * CYCLE_S)
    assert calls.turns_to_come_per_s("acme", now_s + 103 * CYCLE_S, turn_s=0.0) == 0


def test_a_call_that_was_silent_for_longer_than_most_is_in_progress_when_it_goes_on() -> None:
    asked = {}
    for pause_s in (CYCLE_S, 3 * CYCLE_S):
        calls, now_s = taught()
        take_turn(calls, 200, 0, now_s)
        is_silent = calls.turns_to_come_per_s("acme", now_s + pause_s, turn_s=0.0) == 0
        assert is_silent == (pause_s > CYCLE_S)
        assert take_turn(calls, 200, 1, now_s + pause_s).before is not None
        asked[pause_s] = calls.turns_to_come_per_s("acme", now_s + pause_s, turn_s=CYCLE_S)
    assert asked[3 * CYCLE_S] == pytest.approx(asked[CYCLE_S], rel=0.15) != 0


def test_longer_pauses_than_ever_are_learned() -> None:
    calls, now_s = taught()
    for number in range(200, 230):
        take_turn(calls, number, 0, now_s + number)
        take_turn(calls, number, 1, now_s + number + 10 * CYCLE_S)
    now_s += 230 + 10 * CYCLE_S
    asked = calls.turns_to_come_per_s("acme", now_s, turn_s=0.0)
    assert calls.turns_to_come_per_s("acme", now_s + 5 * CYCLE_S, turn_s=0.0) > asked / 4 > 0


def test_callers_who_barge_in_do_not_make_others_seem_silent() -> None:
    calls = Calls()
    for number in range(50):
        for turn in range(5):
            take_turn(calls, number, turn, float(number))
    now_s = 60.0
    take_turn(calls, 100, 0, now_s)
    assert calls.turns_to_come_per_s("acme", now_s + 2.0, turn_s=1.0) > 0
