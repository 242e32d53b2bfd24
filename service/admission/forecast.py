"""When would a turn's first word come? From the engine's measured pace and the work ahead of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.admission.estimate import Cost
from service.admission.load import Load
from service.admission.pace import Pace
from service.admission.room import Waiter

# Of the bound on time per output token: the rest is for what a forecast can't know, and first for turns that are owed a place.
_AIM, _AIM_OWED = 0.85, 0.97
_MOST_PROMPTS = 1.6
"""Of the same bound: so long may a step usually take for its prompts. A running turn waits so long for one token; its time per
output token is the mean of all, which the number of running turns keeps. Where each step took less of what waits, it would move
all running turns once more, and the last first word would come later by that.
"""
_SAFE_SHARE = 0.99
"""Of the forecasts that are to hold when they count as safe."""
_CAUTION_STEP_S, _CAUTION_FADES = 0.02, 0.001
_MOST_CAUTION_S = 0.6
_MOST_OVERTAKEN = 0.9


@dataclass(frozen=True, slots=True)
class Ttft:
    """A time to the first token, from now, in seconds."""

    likely_s: float
    safe_s: float
    is_behind: bool
    """Others go first, and more may come that do."""


class Forecast:
    """Times in seconds."""

    def __init__(self, pace: Pace, *, tpot_bound_s: float, max_turns: int) -> None:
        self._pace = pace
        self._tpot_bound_s = tpot_bound_s
        self._portion_s = _MOST_PROMPTS * tpot_bound_s
        self._max_turns = max_turns
        self._caution_s = {False: 0.0, True: 0.0}
        """By so much were the last forecasts too early, but for one in a hundred: of turns with others ahead, and without."""

    @property
    def most_turns(self) -> int:
        """Running turns that keep to the bound on time per output token, by what has been measured."""
        return self._pace.most_turns(_AIM * self._tpot_bound_s, limit=self._max_turns)

    @property
    def most_turns_owed(self) -> int:
        """The same for turns that are owed a place (see `AdmissionController`): they need not wait for another to end."""
        return self._pace.most_turns(_AIM_OWED * self._tpot_bound_s, limit=self._max_turns)

    def turns_per_s(self, cost: Cost) -> float:
        """Turns of this cost that the engine ends in a second when as many run as may; infinite before any was measured."""
        turn_s = self.turn_s(cost)
        return self.most_turns / turn_s if turn_s else float("inf")

    def prompts_per_s(self, cost: Cost, turns: int) -> float:
        """Prompts of this cost that the engine computes in a second, beside so many running turns; infinite before any was
        measured. They go in portions, each in one step.
        """
        prompt_s = cost.uncached_tokens * self._pace.prompt_token_s
        if not prompt_s:
            return float("inf")
        portion = max(1.0, self._portion_s / prompt_s)
        return portion / (portion * prompt_s + self._pace.step_s(turns))

    def turn_s(self, cost: Cost) -> float:
        """How long a turn of this cost runs when as many do as may; 0 before any was measured."""
        return cost.completion_tokens * self._pace.tpot_s(self.most_turns)

    def running_at(self, cost: Cost, per_s: float) -> int:
        """Turns that run where turns of this cost come so often: as many as may, where more than those would (Little, 1961)."""
        free = self._free_of_prompts(cost, per_s)
        few, many = 0, self.most_turns
        while few < many:
            middle = (few + many) // 2
            if middle * free >= per_s * cost.completion_tokens * self._pace.step_s(middle):
                many = middle
            else:
                few = middle + 1
        return few

    def turn_s_at(self, cost: Cost, per_s: float) -> float:
        """How long a turn of this cost takes, with its prompt, where such turns come so often (more than 0); no longer than
        where as many run as may. 0 before any was measured.
        """
        turn_s = self.turn_s(cost)
        if not turn_s:
            return 0.0
        per_s = min(per_s, self.turns_per_s(cost))
        running, free = self.running_at(cost, per_s), self._free_of_prompts(cost, per_s)
        if free > 0:
            turn_s = min(turn_s, cost.completion_tokens * self._pace.step_s(running) / free)
        return turn_s + self.first_token_s(cost.uncached_tokens, running)

    def _free_of_prompts(self, cost: Cost, per_s: float) -> float:
        """The part of its time that prompts leave the engine, where turns of this cost come so often; below 0: they take more."""
        return 1 - per_s * cost.uncached_tokens * self._pace.prompt_token_s

    def work_s(self, cost: Cost) -> float:
        """Engine time that a turn takes from the others; at least something, so that every turn counts."""
        turns = self.most_turns
        decode_s = cost.completion_tokens * self._pace.step_s(turns) / turns
        return max(1e-6, decode_s + cost.uncached_tokens * self._pace.prompt_token_s)

    def fits_in_step(self, prompt_tokens: int) -> bool:
        """Whether so many prompt tokens in one step keep the running turns waiting for no longer than they may."""
        return prompt_tokens * self._pace.prompt_token_s <= self._portion_s

    def computed_s(self, prompt_tokens: int, load: Load, now_s: float) -> float:
        """From now until so many prompt tokens more are computed, given to the engine with what goes into the next step."""
        return self.own_s(prompt_tokens, load.turns) + self._queue_s(load, (), now_s)

    def own_s(self, prompt_tokens: int, turns: int) -> float:
        """The step, beside so many turns, in which so many prompt tokens are computed."""
        return prompt_tokens * self._pace.prompt_token_s + self._pace.step_s(turns + 1)

    def first_token_s(self, prompt_tokens: int, turns: int) -> float:
        """From entering the engine, beside so many turns, until so many prompt tokens are computed: a step may be under way."""
        return self.own_s(prompt_tokens, turns) + (self._pace.step_s(turns + 1) if turns else 0.0)

    def ttft(self, waiter: Waiter, load: Load, ahead: Sequence[Waiter], now_s: float, *, limit: int, overtaken: float) -> Ttft:
        """From now to a turn's first token, when all of `ahead` go first and `limit` turns may run. `overtaken`: the part of the
        engine's time that turns which are still to come will take before this one, whose wait is longer by 1 / (1 - that)
        (Cobham, 1954).
        """
        cost = waiter.cost
        slots = sum(each.slots for each in ahead)
        missing = max(0, load.turns + slots + min(waiter.slots, limit) - limit)
        turn_s = 1 / self.turns_per_s(cost)
        own_s = self.own_s(cost.uncached_tokens, load.turns)
        queue_s = self._queue_s(load, ahead, now_s)
        longer = 1 / (1 - min(overtaken, _MOST_OVERTAKEN))
        likely_s = own_s + longer * max(missing * turn_s, queue_s)
        # Turns end when they end: the time in which so many of them do is off by the root of their number.
        safe_slot_s = (missing + math.sqrt(missing)) * turn_s
        return Ttft(likely_s, own_s + longer * max(safe_slot_s, queue_s) + self._caution_s[bool(ahead)], bool(ahead))

    def _queue_s(self, load: Load, ahead: Sequence[Waiter], now_s: float) -> float:
        """Until the prompts in the engine, and those that go before, are computed; at least until the step under way ends."""
        step_s, prompt_token_s = self._pace.step_s(load.turns + 1), self._pace.prompt_token_s
        in_engine_s = step_s + load.prompt_tokens * prompt_token_s if load.turns else 0.0
        ahead_s = sum(each.cost.uncached_tokens for each in ahead) * prompt_token_s
        # They are let in by portions, and each portion's step moves the others too; a prompt longer than that goes in one.
        steps = min(len(ahead), math.ceil(ahead_s / self._portion_s))
        return max(0.0, in_engine_s - self._pace.under_way_s(now_s)) + ahead_s + steps * step_s

    def learn(self, forecast: Ttft, actual_s: float) -> None:
        """How far it was off, once the first token is there, or is known to come no earlier than that: follows the error that
        only one in a hundred exceeds.
        """
        caution_s = self._caution_s[forecast.is_behind]
        is_exceeded = actual_s - forecast.likely_s > caution_s
        falls_s = max(_CAUTION_STEP_S * (1 - _SAFE_SHARE), _CAUTION_FADES * caution_s)
        change_s = _CAUTION_STEP_S * _SAFE_SHARE if is_exceeded else -falls_s
        self._caution_s[forecast.is_behind] = min(_MOST_CAUTION_S, max(0.0, caution_s + change_s))
