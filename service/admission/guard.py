"""Is there room for one more call? A first turn brings others, which have nowhere else to go."""

import math

from service.admission.calls import Calls
from service.admission.estimate import Estimator
from service.admission.forecast import Forecast
from service.admission.queueing import used_share
from service.admission.room import Waiter

# Of what the engine can do, the part that calls in progress may ask for and a first turn still be let in: of turns that run,
# and of prompts that it computes: of these less, since they queue one behind the other, and less again where a budget leaves
# little time for that. In a wave no more calls are offered than the engine can do: what came together will not come together
# again.
_TURNS_IN_OVERLOAD, _PROMPTS_IN_OVERLOAD = 0.8, 0.5
_TURNS_IN_A_WAVE, _PROMPTS_IN_A_WAVE = 1.0, 0.6
_TOO_LATE = 0.0125
"""Of the turns of calls in progress, those whose prompt may have to wait for longer than its budget leaves, by the formula. With
these, 96 % of calls of five turns have every turn in time (`tests/admission/test_overload.py`).
"""


class Guard:
    """Knows what the calls in progress will ask for, and whether the engine has that and more. Times in seconds."""

    def __init__(self, calls: Calls, forecast: Forecast, estimator: Estimator) -> None:
        self._calls = calls
        self._forecast = forecast
        self._estimator = estimator

    def overtaking_share(self, waiter: Waiter, now_s: float) -> float:
        """The part of the engine's time that turns of calls in progress will take before this one, should it wait."""
        if waiter.continues_call:
            return 0.0
        usual = self._estimator.usual
        return self._to_come_per_s(waiter, now_s, turn_s=self._forecast.turn_s(usual)) / self._forecast.turns_per_s(usual)

    def has_room(self, waiter: Waiter, now_s: float, *, budget_s: float) -> bool:
        """Whether a first turn's call would find its turns' room, beside the calls in progress.

        Twice asked: of the turns that run, and of the prompts; each as if as many came as may, for the busier the engine is, the
        longer a turn takes and the less each call asks for.
        """
        usual = self._estimator.usual
        turns_per_s = self._forecast.turns_per_s(usual)
        prompts_per_s = self._forecast.prompts_per_s(usual, self._forecast.most_turns)
        is_overload = self._calls.demand_per_s(now_s) > min(turns_per_s, prompts_per_s)
        most_turns, most_prompts = _TURNS_IN_A_WAVE * turns_per_s, _PROMPTS_IN_A_WAVE * prompts_per_s
        if is_overload:
            most_turns = _TURNS_IN_OVERLOAD * turns_per_s
            most_prompts = self._prompts_in_time_per_s(_PROMPTS_IN_OVERLOAD * prompts_per_s, budget_s)
        if self._to_come_per_s(waiter, now_s, turn_s=self._forecast.turn_s(usual), more=1) > most_turns:
            return False
        turn_s = self._forecast.turn_s_at(usual, most_prompts)
        return self._to_come_per_s(waiter, now_s, turn_s=turn_s, more=1) <= most_prompts

    def _prompts_in_time_per_s(self, most_per_s: float, budget_s: float) -> float:
        """So many prompts may come, of those at most, that few wait for longer than the budget leaves: they queue one behind the
        other.
        """
        if math.isinf(most_per_s) or math.isinf(budget_s):
            return most_per_s
        usual = self._estimator.usual
        running = self._forecast.running_at(usual, most_per_s)
        per_s = self._forecast.prompts_per_s(usual, running + 1)
        wait_s = budget_s - self._forecast.first_token_s(usual.uncached_tokens, running)
        return min(most_per_s, per_s * used_share(wait_s * per_s, _TOO_LATE))

    def _to_come_per_s(self, waiter: Waiter, now_s: float, *, turn_s: float, more: int = 0) -> float:
        return self._calls.turns_to_come_per_s(waiter.tenant, now_s, turn_s=turn_s, more=more)
