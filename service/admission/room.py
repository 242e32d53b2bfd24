"""The waiting room in front of the engine: who goes next.

Higher priority classes first. Within a class, tenants share by their weights: start-time fair queueing (Goyal, Vin and
Cheng, 1996), where each turn taken moves its tenant's own time on by cost / weight, and the tenant whose time is least goes
next. A tenant that has used less than its share has some credit, so that its bursts do not wait behind one that floods.
Within a tenant, a turn that continues a call goes before a call's first turn: a first turn can still be sent
elsewhere, while a call in progress would be ruined.
"""

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.admission.estimate import Cost
from service.domain import TenantPolicy

_CREDIT_S = 10.0
"""Of engine time, at weight 1."""


@dataclass(eq=False, slots=True)
class Waiter:
    """A turn in the room."""

    tenant: str
    policy: TenantPolicy
    continues_call: bool
    cost: Cost
    work_s: float
    """Engine time it will take."""
    slots: int = 1
    """Choices that it generates."""
    is_ready: bool = False
    """Rendered and tokenized: it may go."""
    due_s: float = math.inf
    """When its first word is."""
    go: asyncio.Future[None] | None = None
    """Done when it is let in, where somebody awaits that."""


@dataclass(slots=True)
class _Line:
    """One tenant's turns, in two lines."""

    policy: TenantPolicy
    time: float
    continuing: list[Waiter] = field(default_factory=list)
    first: list[Waiter] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.continuing) + len(self.first)

    @property
    def head(self) -> Waiter | None:
        return next((waiter for waiter in self.continuing + self.first if waiter.is_ready), None)


class Room:
    """Holds who waits, in the order in which they may go."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._now: dict[int, float] = {}
        """Of each priority class: the time of the tenant that went last."""

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[Waiter]:
        for line in self._lines.values():
            yield from line.continuing
            yield from line.first

    def add(self, waiter: Waiter) -> None:
        line = self._lines.setdefault(waiter.tenant, _Line(waiter.policy, -math.inf))
        if waiter.policy.priority != line.policy.priority:
            line.time = -math.inf  # Each class has a time of its own.
        line.policy = waiter.policy
        line.time = self._start(line)
        (line.continuing if waiter.continues_call else line.first).append(waiter)

    def remove(self, waiter: Waiter) -> None:
        """It has given up, or its caller has."""
        line = self._lines[waiter.tenant]
        (line.continuing if waiter.continues_call else line.first).remove(waiter)

    def heads(self) -> list[Waiter]:
        """Of each tenant the turn that goes next, where one is ready to; in the order in which they may go."""
        heads = [(line, head) for line in self._lines.values() if (head := line.head) is not None]
        return [head for _, head in sorted(heads, key=lambda each: (-each[0].policy.priority, each[0].time))]

    def take(self, waiter: Waiter) -> None:
        """It goes into the engine: its tenant's time moves on."""
        line = self._lines[waiter.tenant]
        self._now[line.policy.priority] = max(line.time, self._now.get(line.policy.priority, line.time))
        line.time += waiter.work_s / line.policy.weight
        self.remove(waiter)

    def ahead_of(self, waiter: Waiter) -> list[Waiter]:
        """Who would go before this turn if it came in now and nobody came after it."""
        own = self._line_of(waiter)
        mine = own.continuing if waiter.continues_call else own.continuing + own.first
        until = self._start(own) + sum(each.work_s for each in mine) / waiter.policy.weight
        ahead = list(mine)
        for line in self._lines.values():
            if line is own or line.policy.priority < waiter.policy.priority:
                continue
            is_higher = line.policy.priority > waiter.policy.priority
            their_time = line.time
            for each in line.continuing + line.first:
                if not is_higher and their_time > until:
                    break
                ahead.append(each)
                their_time += each.work_s / line.policy.weight
        return ahead

    def has_credit(self, waiter: Waiter) -> bool:
        """Whether its tenant has used less than its share, beside others who wanted theirs."""
        return self._start(self._line_of(waiter)) < self._now.get(waiter.policy.priority, -math.inf)

    def _line_of(self, waiter: Waiter) -> _Line:
        """Its tenant's, also one that has not come yet."""
        return self._lines.get(waiter.tenant, _Line(waiter.policy, -math.inf))

    def _start(self, line: _Line) -> float:
        """A line's time if it gets a turn now: what it did not use is kept as credit, up to a bound."""
        return max(line.time, self._now.get(line.policy.priority, 0.0) - _CREDIT_S)
