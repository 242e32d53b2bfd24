"""Calls in progress: how many there are, and how many turns they will still bring.

A call admitted today is five or ten turns tomorrow: a first turn that is let in when there is room for it alone ruins calls
that are half way. So first turns are let in by what all calls in progress will ask, as telephone networks keep channels for
calls handed over from another cell (the guard channel; Hong and Rappaport, 1986).

A turn is known to continue a call by its messages: they begin with those of the turn before. What calls are like is learned
for each tenant: one may have conversations, another single questions.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

_REMEMBERED = 16_384
_NEW_SHARE = 0.1
_LEAST_CYCLE_S = 2.5
_LEAST_TOLD_S = 0.5
"""No call is taken to ask for more than two turns a second: what comes faster is no conversation."""
_SILENT_CYCLES, _ENDED_CYCLES = 2.0, 4.0
"""A call that has been silent for so many usual cycles has most likely ended; for so many, it has."""
_KEPT = 0.99
"""Of the counts of calls continued and ended, at each new one: a memory of about a hundred."""
_RATE_S = 30.0
"""Over which first turns offered are averaged."""


@dataclass(slots=True)
class _Last:
    """A call's last turn: when it came, when it ended, if it has, and whether it was the call's first."""

    came_s: float
    is_first: bool
    ended_s: float | None = None


@dataclass(slots=True)
class _Odds:
    """How many calls went on after such a turn, and how many did not."""

    continued: float = 0.0
    ended: float = 0.0

    def learn(self, *, goes_on: bool) -> None:
        self.continued = self.continued * _KEPT + goes_on
        self.ended = self.ended * _KEPT + (not goes_on)

    def goes_on(self, assumed: float = 0.0) -> float:
        """The share of calls that do, with one more that goes on as is assumed, and one that ends: few tell little."""
        return (self.continued + assumed) / (self.continued + self.ended + 2)


@dataclass(eq=False, slots=True)
class _Tenant:
    """One tenant's calls, and what they are like."""

    weight: float
    active: OrderedDict[int, _Last] = field(default_factory=OrderedDict)
    """The last turn of each call in progress, by the turn's key, the longest ago first."""
    silent: OrderedDict[int, _Last] = field(default_factory=OrderedDict)
    """The same of those that have most likely ended."""
    cycle_s: float | None = None
    """From a turn of a call to its next; None before any call was continued."""
    pause_s: float = 0.0
    """From a turn's end to the next."""
    after_first: _Odds = field(default_factory=_Odds)
    after_later: _Odds = field(default_factory=_Odds)
    """Apart: whoever has single questions beside conversations tells them so."""
    active_first: int = 0
    """Of those in progress: whose last turn is their first."""
    offered: float = 0.0
    """First turns, let in or not, up to `offered_s`; they fade."""
    offered_s: float = 0.0

    @property
    def odds(self) -> tuple[float, float]:
        """The shares of calls that go on, after their first turn and after a later one."""
        after_first = self.after_first.goes_on()
        return after_first, self.after_later.goes_on(after_first)

    @property
    def turns_per_call(self) -> float:
        after_first, after_later = self.odds
        return 1 + after_first / (1 - after_later)

    def to_come_per_s(self, turn_s: float, *, more: int = 0) -> float:
        """Turns that its calls in progress, and so many more, will ask for."""
        if self.cycle_s is None:
            return 0.0
        after_first, after_later = self.odds
        calls = self.active_first * after_first + (len(self.active) - self.active_first) * after_later + more
        return calls / max(_LEAST_TOLD_S, self.cycle_s, self.pause_s + turn_s)

    def offer(self, now_s: float) -> None:
        self.offered = self.offered_at(now_s) + 1
        self.offered_s = now_s

    def offered_at(self, now_s: float) -> float:
        return self.offered * math.exp((self.offered_s - now_s) / _RATE_S)

    def went_on(self, before: int, now_s: float) -> None:
        """The call whose last turn had this key has its next."""
        last = self._forget(before)
        if last is None:
            return
        share = 1.0 if self.cycle_s is None else _NEW_SHARE
        pause_s = 0.0 if last.ended_s is None else now_s - last.ended_s
        self.cycle_s = (1 - share) * (self.cycle_s or 0.0) + share * (now_s - last.came_s)
        self.pause_s = (1 - share) * self.pause_s + share * pause_s
        self._odds(last).learn(goes_on=True)

    def came(self, key: int, now_s: float, *, is_first: bool) -> None:
        """A turn with this key was let in: its call is in progress."""
        again = self._forget(key)  # By a client that tries once more.
        self.active[key] = last = _Last(now_s, again.is_first if again else is_first)
        self.active_first += last.is_first

    def age(self, now_s: float) -> None:
        """Calls that have been silent for long are over."""
        cycle_s = max(_LEAST_CYCLE_S, self.cycle_s or 0.0)
        while self.active and _is_over(self.active, now_s - _SILENT_CYCLES * cycle_s):
            key, last = self.active.popitem(last=False)
            self.active_first -= last.is_first
            self.silent[key] = last
        while self.silent and _is_over(self.silent, now_s - _ENDED_CYCLES * cycle_s):
            self._odds(self.silent.popitem(last=False)[1]).learn(goes_on=False)

    def _forget(self, key: int) -> _Last | None:
        if last := self.active.pop(key, None):
            self.active_first -= last.is_first
            return last
        return self.silent.pop(key, None)

    def _odds(self, last: _Last) -> _Odds:
        return self.after_first if last.is_first else self.after_later


@dataclass(frozen=True, slots=True)
class Link:
    """Where a turn stands in its call."""

    tenant: _Tenant
    key: int
    before: int | None
    """The key of the call's turn before this one; None where we have not seen it."""
    is_first: bool


class Calls:
    """Times in seconds, of one monotonic clock."""

    def __init__(self) -> None:
        self._tenants: dict[str, _Tenant] = {}
        """Everybody who ever called: as many as have had keys."""

    def cycle_s(self, tenant: str) -> float | None:
        """From a turn of one of its calls to the next; None before any was continued."""
        known = self._tenants.get(tenant)
        return None if known is None else known.cycle_s

    def turns_to_come_per_s(self, tenant: str, now_s: float, *, turn_s: float, more: int = 0) -> float:
        """What the calls in progress, and so many more of this tenant, will ask for where a turn takes so long: of all
        tenants, or of its own as if all had its share, whichever is less, since no tenant's calls may close the door to
        another's. The tenant must have offered a turn.

        A call's next turn comes a pause after the last has ended: the busier the engine, the less each call asks for.
        """
        for each in self._tenants.values():
            each.age(now_s)
        mine = self._tenants[tenant]
        others = [other for other in self._tenants.values() if other is not mine and other.active]
        own = mine.to_come_per_s(turn_s, more=more)
        fair_share = mine.weight / (mine.weight + sum(other.weight for other in others))
        return min(own + sum(other.to_come_per_s(turn_s) for other in others), own / fair_share)

    def demand_per_s(self, now_s: float) -> float:
        """Turns that the calls offered lately would bring, had all been let in; less what chance may have added to them (calls
        come by chance: the root of their number).
        """
        offered = turns = 0.0
        for each in self._tenants.values():
            calls = each.offered_at(now_s)
            offered += calls
            turns += calls * each.turns_per_call
        return turns * (1 - 1 / math.sqrt(max(1.0, offered))) / _RATE_S

    def offer(self, keys: Sequence[int], tenant: str, weight: float, *, continues_call: bool, now_s: float) -> Link:
        """A turn has come, with the keys of its messages; whether it is let in is not known yet."""
        whose = self._tenants.setdefault(tenant, _Tenant(weight))
        whose.weight = weight
        whose.age(now_s)
        if not continues_call:
            whose.offer(now_s)
        before = next((key for key in reversed(keys) if key in whose.active or key in whose.silent), None)
        return Link(whose, keys[-1], before, is_first=before is None and not continues_call)

    def admit(self, link: Link, now_s: float) -> None:
        """It has been let in: its call is in progress."""
        if link.before is not None and link.before != link.key:
            link.tenant.went_on(link.before, now_s)
        link.tenant.came(link.key, now_s, is_first=link.is_first)

    def end(self, link: Link, now_s: float) -> None:
        """A turn that was let in has ended, however."""
        if last := link.tenant.active.get(link.key) or link.tenant.silent.get(link.key):
            last.ended_s = now_s


def _is_over(calls: OrderedDict[int, _Last], before_s: float) -> bool:
    return len(calls) > _REMEMBERED or next(iter(calls.values())).came_s < before_s
