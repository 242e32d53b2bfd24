"""What follows from the load carried: calls per replica, replicas for a number of calls, the price of turns on time."""

import math
from dataclasses import dataclass

from loadtest.report.knee import Step
from loadtest.report.reading import Reading
from loadtest.report.verdict import GO, Verdict

AUTOSCALE_SHARE = 0.8
"""Share of a replica's carried load at which the autoscaler adds a replica, early enough for it to start in time."""
HEADROOM_SHARE = 0.2
HEADROOM = f"one replica or {HEADROOM_SHARE * 100:g} %, whichever is more"


@dataclass(frozen=True)
class Plan:
    """Sizing options of the command line."""

    replicas: int = 1
    """Replicas behind the endpoint during the run."""
    calls: int | None = None
    """Calls at once to be carried. None: not given."""
    gpu_hour_price: float | None = None
    gpus_per_replica: int = 1


@dataclass(frozen=True)
class Carried:
    """A load of the whole endpoint that met the thresholds."""

    calls_at_once: float | None
    calls_per_s: float | None
    turns_per_s: float
    on_time_per_s: float
    is_knee: bool
    """Whether the load is the knee. False: the endpoint may carry more."""


@dataclass(frozen=True)
class Capacity:
    carried: Carried | None
    """The load carried. None: no load met the thresholds."""
    calls_per_replica: float | None = None
    turns_per_s_per_replica: float | None = None
    """Turns sent per second at the load carried, refused turns included, as `firstword_turns_offered_total` counts them."""
    autoscale_turns_per_s: float | None = None
    """The autoscaler's threshold per replica (`turnsPerSecond` in the chart): `AUTOSCALE_SHARE` of the turns per second."""
    replicas_needed: int | None = None
    """Replicas for `Plan.calls`, headroom included."""
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
    return _of_step(verdict.knee.steps[0], is_knee=False)  # A constant rate has one step.


def _of_step(step: Step, *, is_knee: bool) -> Carried:
    return Carried(step.calls_at_once, step.calls_per_s, step.turns_per_s, step.on_time_per_s, is_knee)


def _price(carried: Carried, plan: Plan) -> float | None:
    if plan.gpu_hour_price is None or not carried.on_time_per_s:
        return None
    per_hour = plan.replicas * plan.gpus_per_replica * plan.gpu_hour_price
    return per_hour / (carried.on_time_per_s * 3600) * 1000
