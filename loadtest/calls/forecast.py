"""How many turns a run will have on a quick server, before it begins: whether it is long enough to be judged."""

from loadtest.calls.plans import CallPlan, Schedule
from loadtest.calls.scenarios import SCENARIOS

_FIRST_WORD_S = 0.3
_CHARS_PER_TOKEN = 4
_STEP_S = 10
_LONGEST_S = 3600


def turns_of_steps(scenario: str, seed: int, rate: float, run_s: float) -> list[int]:
    """Of each of the scenario's steps: the turns that are sent in it."""
    schedule = Schedule(SCENARIOS[scenario], seed, rate, run_s)
    counts = [0] * len(schedule.scenario.profile)
    for number, tenant, due_s in schedule.arrivals():
        for sent_s in _sent_s(schedule.call(number, tenant, due_s)):
            if sent_s < run_s:
                counts[int(sent_s / run_s * len(counts))] += 1
    return counts


def can_be_judged(turns: list[int], *, of_a_step: int, of_all: int) -> bool:
    """Where the knee lies in the upper half: from the middle on each step has turns enough, and all up to the middle together."""
    middle = len(turns) // 2
    return min(turns[middle:]) >= of_a_step and sum(turns[: middle + 1]) >= of_all


def shortest_ramp_s(seed: int, rate: float, *, of_a_step: int, of_all: int) -> int | None:
    """That can be judged, in steps of 10 s; None: none of an hour or less."""
    for run_s in range(_STEP_S, _LONGEST_S + 1, _STEP_S):
        if can_be_judged(turns_of_steps("ramp", seed, rate, run_s), of_a_step=of_a_step, of_all=of_all):
            return run_s
    return None


def _sent_s(call: CallPlan) -> list[float]:
    """When each turn is sent: callers hear answers out, think, and speak."""
    sent_s, sent = call.due_s, []
    for turn, following in zip(call.turns, (*call.turns[1:], None), strict=True):
        sent.append(sent_s)
        if following is None:
            break
        heard_s = turn.max_tokens * _CHARS_PER_TOKEN / call.agent.language.chars_per_s
        sent_s += _FIRST_WORD_S + (turn.barge_in_s if turn.barge_in_s is not None else heard_s + following.think_s)
        sent_s += following.speak_s
    return sent
