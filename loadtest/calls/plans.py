"""The plan of each call, drawn from the run's seed and the call's number before the call begins. No answer changes it."""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass

from loadtest.calls.agents import Agent
from loadtest.calls.arrivals import Stage, arrivals, stages
from loadtest.calls.languages import Language
from loadtest.calls.scenarios import NOISY, QUIET, Scenario

THINK_S = (0.2, 1.0)
_CALLS_PER_EDITION = 10_000_000
BARGE_IN_AFTER_S = (0.3, 1.5)
"""Range of seconds from the first token to the barge-in. If the stream has already ended, the caller still interrupts."""


@dataclass(frozen=True)
class TurnPlan:
    """Plan of one turn. Times are in seconds."""

    text: str
    think_s: float
    """Seconds from the end of the agent's speech until the caller speaks."""
    speak_s: float
    max_tokens: int
    barge_in_s: float | None = None
    """Seconds from the first token until the caller speaks and the platform drops the stream. None: no barge-in."""
    hang_up_s: float | None = None
    """Seconds from the first token until the caller hangs up. None: the caller does not."""


@dataclass(frozen=True)
class CallPlan:
    number: int
    tenant: str
    due_s: float
    """Planned send time of the first turn, in seconds from the start of the run."""
    agent: Agent
    turns: tuple[TurnPlan, ...]


@dataclass(frozen=True)
class Schedule:
    """All calls of a run from `begin_s` on. `edition` rises by 1 each time rate or cap change during the run."""

    scenario: Scenario
    seed: int
    rate: float
    run_s: float
    begin_s: float = 0.0
    edition: int = 0

    def stages(self, tenant: str = QUIET) -> list[Stage]:
        profile = self.scenario.profile if tenant == QUIET else self.scenario.noisy_profile
        return stages(profile, self.rate, self.run_s) if profile else []

    def arrivals(self) -> Iterator[tuple[int, str, float]]:
        """Yield number, tenant and due time of each call, in order of time."""
        due = ((due_s, tenant) for due_s, tenant in heapq.merge(self._of(QUIET), self._of(NOISY)) if due_s >= self.begin_s)
        for number, (due_s, tenant) in enumerate(due, self.edition * _CALLS_PER_EDITION):
            yield number, tenant, due_s

    def _of(self, tenant: str) -> Iterator[tuple[float, str]]:
        return ((due_s, tenant) for due_s in arrivals(self.stages(tenant), f"{self.seed}/{self.edition}/{tenant}"))

    def call(self, number: int, tenant: str, due_s: float) -> CallPlan:
        """The plan of one call. It does not depend on the worker that places the call."""
        return plan_call(self.scenario, f"{self.seed}/{number}", number, tenant, due_s)


def plan_call(scenario: Scenario, seed: str, number: int = 0, tenant: str = QUIET, due_s: float = 0.0) -> CallPlan:
    chance = random.Random(seed)
    agent = chance.choices(scenario.agents, weights=[agent.weight for agent in scenario.agents])[0]
    count = chance.randint(*(scenario.turns or agent.turns))
    turns = [_plan_turn(scenario, agent, position, chance) for position in range(count)]
    if chance.random() < scenario.hang_up_share:
        last = turns[-1]
        turns[-1] = TurnPlan(last.text, last.think_s, last.speak_s, last.max_tokens, hang_up_s=chance.uniform(*BARGE_IN_AFTER_S))
    return CallPlan(number, tenant, due_s, agent, tuple(turns))


def _plan_turn(scenario: Scenario, agent: Agent, position: int, chance: random.Random) -> TurnPlan:
    text = _say(agent.language, position, chance)
    barge_in, after_s = chance.random(), chance.uniform(*BARGE_IN_AFTER_S)
    return TurnPlan(
        text=text,
        think_s=chance.uniform(*THINK_S),
        speak_s=len(text) / agent.language.chars_per_s,
        max_tokens=chance.randint(*agent.answer_tokens),
        barge_in_s=after_s if barge_in < scenario.barge_in_share else None,
    )


def _say(language: Language, position: int, chance: random.Random) -> str:
    """One to three sentences of a caller."""
    known = language.replies if position else language.openings
    said = chance.sample(known, k=min(len(known), chance.choice((1, 1, 2, 3)))) if position else [chance.choice(known)]
    return " ".join(sentence.format(n=chance.randint(2, 28)) for sentence in said)


def typical_call_s(scenario: Scenario, pause_scale: float) -> float:
    """Approximate seconds of a call on a fast server, to forecast the calls at once (Little's law)."""
    calls = [plan_call(scenario, f"typical/{number}") for number in range(200)]
    spoken = sum(turn.speak_s + turn.think_s + turn.max_tokens * 4 / 15 for call in calls for turn in call.turns)
    return spoken * pause_scale / len(calls)
