"""Is there room for one more call? A first turn brings others, which have nowhere else to go."""

from service.admission.calls import Calls
from service.admission.estimate import Estimator
from service.admission.forecast import Forecast
from service.admission.room import Waiter

# Of what the engine can do, the part that calls in progress may ask for and a first turn still be let in: of turns that run,
# and of prompts that it computes. Prompts queue one behind the other, and a budget for the first word leaves little time for
# that. In a wave no more calls are offered than the engine can do: what came together will not come together again.
_TURNS_IN_OVERLOAD, _PROMPTS_IN_OVERLOAD = 0.85, 0.55
_TURNS_IN_A_WAVE, _PROMPTS_IN_A_WAVE = 1.0, 0.9


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

    def has_room(self, waiter: Waiter, now_s: float) -> bool:
        """Whether a first turn's call would find its turns' room, beside the calls in progress.

        Twice asked: of the turns that run, where each call asks for the less the busier the engine is; and of the prompts,
        which come as often as calls turn now.
        """
        usual = self._estimator.usual
        turns_per_s, prompts_per_s = self._forecast.turns_per_s(usual), self._forecast.prompts_per_s(usual)
        is_overload = self._calls.demand_per_s(now_s) > min(turns_per_s, prompts_per_s)
        of_turns = _TURNS_IN_OVERLOAD if is_overload else _TURNS_IN_A_WAVE
        of_prompts = _PROMPTS_IN_OVERLOAD if is_overload else _PROMPTS_IN_A_WAVE
        turns = self._to_come_per_s(waiter, now_s, turn_s=self._forecast.turn_s(usual), more=1)
        prompts = self._to_come_per_s(waiter, now_s, turn_s=0.0, more=1)
        return turns <= of_turns * turns_per_s and prompts <= of_prompts * prompts_per_s

    def _to_come_per_s(self, waiter: Waiter, now_s: float, *, turn_s: float, more: int = 0) -> float:
        return self._calls.turns_to_come_per_s(waiter.tenant, now_s, turn_s=turn_s, more=more)
