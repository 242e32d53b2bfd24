"""Calls in progress: how many there are, and how many turns they will still bring.

A call admitted today is five or ten turns tomorrow: a first turn that is let in when there is room for it alone ruins calls
that are half way. So first turns are let in by what all calls in progress will ask, as telephone networks keep channels for
calls handed over from another cell (the guard channel; Hong and Rappaport, 1986).

A turn is known to continue a call by its messages: they begin with those of the turn before. What calls are like is learned
for each tenant: one may have conversations, another single questions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from service.admission.tenant_calls import RATE_S, TenantCalls


@dataclass(frozen=True, slots=True)
class Link:
    """Where a turn stands in its call."""

    tenant: TenantCalls
    key: int
    before: int | None
    """The key of the call's turn before this one; None where we have not seen it."""
    agent: int | None
    """A key of its system prompt, if it has one."""
    is_first: bool


class Calls:
    """Times in seconds, of one monotonic clock."""

    def __init__(self) -> None:
        self._tenants: dict[str, TenantCalls] = {}
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
        others = [other for other in self._tenants.values() if other is not mine and other.in_progress]
        own = mine.to_come_per_s(turn_s, more=more)
        fair_share = mine.weight / (mine.weight + sum(other.weight for other in others))
        return min(own + sum(other.to_come_per_s(turn_s) for other in others), own / fair_share)

    def demand_per_s(self, now_s: float) -> float:
        """Turns that the calls offered lately would bring, had all been let in; less what chance may have added to them (calls
        come by chance: the root of their number).
        """
        offered = turns = 0.0
        for each in self._tenants.values():
            its_calls, its_turns = each.offered_at(now_s)
            offered += its_calls
            turns += its_turns
        return turns * (1 - 1 / math.sqrt(max(1.0, offered))) / RATE_S

    def offer(self, keys: Sequence[int], tenant: str, weight: float, *, continues_call: bool, now_s: float) -> Link:
        """A turn has come, with the keys of its messages; whether it is let in is not known yet."""
        whose = self._tenants.setdefault(tenant, TenantCalls(weight))
        whose.weight = weight
        whose.age(now_s)
        agent = keys[0] if len(keys) > 1 else None
        if not continues_call:
            whose.offer(agent, now_s)
        before = next((key for key in reversed(keys) if whose.knows(key)), None)
        return Link(whose, keys[-1], before, agent, is_first=before is None and not continues_call)

    def admit(self, link: Link, now_s: float) -> None:
        """It has been let in: its call is in progress."""
        if link.before is not None and link.before != link.key:
            link.tenant.went_on(link.before, now_s)
        link.tenant.came(link.key, link.agent, now_s, is_first=link.is_first)

    def end(self, link: Link, now_s: float) -> None:
        """A turn that was let in has ended, however."""
        link.tenant.ended(link.key, now_s)
