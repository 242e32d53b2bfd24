"""Forecast of the turns of a run on a fast server, to see before the run whether it is long enough to be judged."""

from loadtest.calls.plans import CallPlan, Schedule
from loadtest.calls.scenarios import SCENARIOS

_FIRST_WORD_S = 0.3
_CHARS_PER_TOKEN = 4
_STEP_S = 10
_LONGEST_S = 3600


def turns_of_steps(scenario: str, seed: int, rate: float, run_s: float) -> list[int]:
    """Number of turns sent in each step of the scenario."""
    schedule = Schedule(SCENARIOS[scenario], seed, rate, run_s)
    counts = [0] * len(schedule.scenario.profile)
    for number, tenant, due_s in schedule.arrivals():
        for sent_s in _sent_s(schedule.call(number, tenant, due_s)):
            if sent_s < run_s:
                counts[int(sent_s / run_s * len(counts))] += 1
    return counts


def can_be_judged(turns: list[int], *, of_a_step: int, of_all: int) -> bool:
    """Whether a knee in the upper half of the ramp can be judged.

    Each step from the middle on needs `of_a_step` turns, and the steps up to the middle need `of_all` turns together.
    """
    middle = len(turns) // 2
    return min(turns[middle:]) >= of_a_step and sum(turns[: middle + 1]) >= of_all


def shortest_ramp_s(seed: int, rate: float, *, of_a_step: int, of_all: int) -> int | None:
    """Duration of the shortest ramp that can be judged, in multiples of 10 s. None: it would take more than an hour."""
    for run_s in range(_STEP_S, _LONGEST_S + 1, _STEP_S):
        if can_be_judged(turns_of_steps("ramp", seed, rate, run_s), of_a_step=of_a_step, of_all=of_all):
            return run_s
    return None


def _sent_s(call: CallPlan) -> list[float]:
    """Send time of each turn. Callers listen to the whole answer, think, and speak."""
    sent_s, sent = call.due_s, []
    for turn, following in zip(call.turns, (*call.turns[1:], None), strict=True):
        sent.append(sent_s)
        if following is None:
            break
        heard_s = turn.max_tokens * _CHARS_PER_TOKEN / call.agent.language.chars_per_s
        sent_s += _FIRST_WORD_S + (turn.barge_in_s if turn.barge_in_s is not None else heard_s + following.think_s)
        sent_s += following.speak_s
    return sent
