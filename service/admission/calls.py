"""Calls in progress: how many there are, and how many turns they will still bring.

A call admitted today is five or ten turns tomorrow: a first turn that is let in when there is room for it alone ruins calls
that are half way. So first turns are let in by what all calls in progress will ask, as telephone networks keep channels for
calls handed over from another cell (the guard channel; Hong and Rappaport, 1986).

A turn is known to continue a call by its messages: they begin with those of the turn before.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

_REMEMBERED = 16_384
_NEW_SHARE = 0.1
_LEAST_CYCLE_S = 2.5
_SILENT_CYCLES, _ENDED_CYCLES = 2.0, 4.0
"""A call that has been silent for so many usual cycles has most likely ended; for so many, it has."""
_KEPT = 0.99
"""Of the counts of calls continued and ended, at each new one: a memory of about a hundred."""
_RATE_S = 5.0
"""Over which first turns offered are averaged."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where a turn stands in its call."""

    tenant: str
    weight: float
    key: int
    before: int | None
    """The key of the call's turn before this one; None where we have not seen it."""


@dataclass(frozen=True, slots=True)
class _Last:
    """The last turn of a call: whose it is, and when it came."""

    tenant: str
    came_s: float


@dataclass(slots=True)
class _Tenant:
    weight: float
    calls: int = 0


class Calls:
    """Times in seconds, of one monotonic clock."""

    def __init__(self) -> None:
        self._active: OrderedDict[int, _Last] = OrderedDict()
        """The last turn of each call in progress, by the turn's key, the longest ago first."""
        self._silent: OrderedDict[int, _Last] = OrderedDict()
        """The same of those that have most likely ended."""
        self._tenants: dict[str, _Tenant] = {}
        """Those with active calls."""
        self._cycle_s: float | None = None
        self._continued = self._ended = 0.0
        self._offered = 0.0
        self._offered_s = 0.0

    @property
    def cycle_s(self) -> float | None:
        """From a turn of a call to its next; None before any call was continued."""
        return self._cycle_s

    @property
    def turns_per_call(self) -> float:
        return (self._continued + self._ended + 1) / (self._ended + 1)

    def turns_to_come_per_s(self, tenant: str, weight: float, now_s: float, *, more: int = 0) -> float:
        """What the calls in progress, and so many more of this tenant, will ask for: of all tenants, or of its own as if
        all had its share, whichever is less, since no tenant's calls may close the door to another's.
        """
        self._age(now_s)
        if self._cycle_s is None:
            return 0.0
        goes_on = 1 - 1 / self.turns_per_call
        own = self._tenants[tenant].calls if tenant in self._tenants else 0
        others_weight = sum(other.weight for name, other in self._tenants.items() if name != tenant)
        fair_share = weight / (weight + others_weight)
        return min(len(self._active) * goes_on + more, (own * goes_on + more) / fair_share) / self._cycle_s

    def offered_per_s(self, now_s: float) -> float:
        """First turns offered, lately, whether they were let in or not."""
        return self._offered * _decayed(now_s - self._offered_s) / _RATE_S

    def offer(self, keys: Sequence[int], tenant: str, weight: float, *, continues_call: bool, now_s: float) -> Link:
        """A turn has come, with the keys of its messages; whether it is let in is not known yet."""
        before = next((key for key in reversed(keys) if key in self._active or key in self._silent), None)
        if not continues_call:
            self._offered = self._offered * _decayed(now_s - self._offered_s) + 1
            self._offered_s = now_s
        return Link(tenant, weight, keys[-1], before)

    def admit(self, link: Link, now_s: float) -> None:
        """It has been let in: its call is in progress."""
        if link.before is not None:
            last = self._leave_active(link.before) if link.before in self._active else self._silent.pop(link.before, None)
            if last is not None and link.before != link.key:  # The same once more is a client that tries again.
                self._learn_cycle(now_s - last.came_s)
        if link.key in self._active:
            self._leave_active(link.key)
        self._active[link.key] = _Last(link.tenant, now_s)
        tenant = self._tenants.setdefault(link.tenant, _Tenant(link.weight))
        tenant.weight = link.weight
        tenant.calls += 1
        self._age(now_s)

    def _learn_cycle(self, cycle_s: float) -> None:
        self._cycle_s = cycle_s if self._cycle_s is None else self._cycle_s + _NEW_SHARE * (cycle_s - self._cycle_s)
        self._continued, self._ended = self._continued * _KEPT + 1, self._ended * _KEPT

    def _age(self, now_s: float) -> None:
        cycle_s = max(_LEAST_CYCLE_S, self._cycle_s or 0.0)
        while self._active and _is_over(self._active, now_s - _SILENT_CYCLES * cycle_s):
            key = next(iter(self._active))
            self._silent[key] = self._leave_active(key)
        while self._silent and _is_over(self._silent, now_s - _ENDED_CYCLES * cycle_s):
            self._silent.popitem(last=False)
            self._continued, self._ended = self._continued * _KEPT, self._ended * _KEPT + 1

    def _leave_active(self, key: int) -> _Last:
        last = self._active.pop(key)
        tenant = self._tenants[last.tenant]
        tenant.calls -= 1
        if not tenant.calls:
            del self._tenants[last.tenant]
        return last


def _is_over(calls: OrderedDict[int, _Last], before_s: float) -> bool:
    return len(calls) > _REMEMBERED or next(iter(calls.values())).came_s < before_s


def _decayed(age_s: float) -> float:
    return math.exp(-age_s / _RATE_S)
