"""What the carried load comes to: calls per replica, replicas for so many calls, the price of a turn on time."""

import math
from dataclasses import dataclass

from loadtest.report.knee import Step
from loadtest.report.reading import Reading
from loadtest.report.verdict import GO, Verdict

AUTOSCALE_SHARE = 0.8
"""Of what a replica carries: where the autoscaler adds one, while there is still time for it to start."""
HEADROOM_SHARE = 0.2
HEADROOM = f"one replica more, or {HEADROOM_SHARE * 100:g} % more, whichever is more"


@dataclass(frozen=True)
class Plan:
    """What the command line said."""

    replicas: int = 1
    """Behind the endpoint during the run."""
    calls: int | None = None
    """To be carried at once."""
    gpu_hour_price: float | None = None
    gpus_per_replica: int = 1


@dataclass(frozen=True)
class Carried:
    """A load within the thresholds. All but `per replica` is of the whole endpoint."""

    calls_at_once: float | None
    calls_per_s: float | None
    turns_per_s: float
    on_time_per_s: float
    is_knee: bool
    """False: the endpoint may carry more."""


@dataclass(frozen=True)
class Capacity:
    carried: Carried | None
    """None: no load within the thresholds is known."""
    calls_per_replica: float | None = None
    turns_per_s_per_replica: float | None = None
    """Sent, refused ones included, at the load carried: what `firstword_turns_offered_total` counts."""
    autoscale_turns_per_s: float | None = None
    """The autoscaler's threshold for each replica, `turnsPerSecond` in the chart: `AUTOSCALE_SHARE` of the above."""
    replicas_needed: int | None = None
    """For the calls asked for, headroom included."""
    price_per_1000_on_time: float | None = None
    headroom: str = HEADROOM


def capacity_of(reading: Reading, verdict: Verdict, plan: Plan) -> Capacity:
    carried = _carried(reading, verdict)
    if carried is None:
        return Capacity(None)
    per_replica = carried.calls_at_once / plan.replicas if carried.calls_at_once else None
    turns_per_s = carried.turns_per_s / plan.replicas
    return Capacity(
        carried=carried,
        calls_per_replica=per_replica,
        turns_per_s_per_replica=turns_per_s,
        autoscale_turns_per_s=turns_per_s * AUTOSCALE_SHARE,
        replicas_needed=replicas_for(plan.calls, per_replica) if plan.calls and per_replica else None,
        price_per_1000_on_time=_price(carried, plan),
    )


def replicas_for(calls: int, per_replica: float) -> int:
    bare = calls / per_replica
    return max(math.ceil(bare) + 1, math.ceil(bare * (1 + HEADROOM_SHARE) - 1e-9))


def _carried(reading: Reading, verdict: Verdict) -> Carried | None:
    if verdict.word == "invalid":
        return None
    if reading.scenario == "ramp":
        return _of_step(verdict.knee.at, is_knee=verdict.knee.broke_at is not None) if verdict.knee.at else None
    if verdict.word != GO or reading.scenario not in ("steady", "soak", "barge-in"):
        return None
    return _of_step(verdict.knee.steps[0], is_knee=False)  # One rate all the time: its only step.


def _of_step(step: Step, *, is_knee: bool) -> Carried:
    return Carried(step.calls_at_once, step.calls_per_s, step.turns_per_s, step.on_time_per_s, is_knee)


def _price(carried: Carried, plan: Plan) -> float | None:
    if plan.gpu_hour_price is None or not carried.on_time_per_s:
        return None
    per_hour = plan.replicas * plan.gpus_per_replica * plan.gpu_hour_price
    return per_hour / (carried.on_time_per_s * 3600) * 1000
