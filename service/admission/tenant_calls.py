"""One tenant's calls, and what they are like: how they go on, how long their callers pause, how many come."""

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

_REMEMBERED = 16_384
_NEW_SHARE = 0.05
_LEAST_CYCLE_S = 0.5
"""No call is taken to ask for more than two turns a second: what comes faster is no conversation."""
_LONG_PAUSES, _LONG_STEP = 0.05, 0.2
"""The part of all pauses that counts as long; and by how much of itself it is moved where one is longer."""
_LEAST_LONG_S = 2.5
_FORGOTTEN_S = 120.0
"""A call that has been silent for so long is taken for another if it goes on."""
_KEPT = 0.99
"""Of the counts of calls continued and ended, at each new one: a memory of about a hundred."""
_AGENTS = 256
"""Of one tenant: the least recently called are forgotten."""
RATE_S = 30.0
"""Over which first turns offered are averaged."""


@dataclass(slots=True)
class _Last:
    """A call's last turn."""

    came_s: float
    agent: int | None
    """A key of its system prompt, if it has one."""
    is_first: bool
    """Of its call."""
    ended_s: float = math.inf


@dataclass(slots=True)
class _Odds:
    """How many calls went on after such a turn, and how many did not."""

    continued: float = 0.0
    ended: float = 0.0

    def learn(self, *, goes_on: bool) -> None:
        self.continued = self.continued * _KEPT + goes_on
        self.ended = self.ended * _KEPT + (not goes_on)

    def unlearn_end(self) -> None:
        """A call that was taken to have ended has not."""
        self.ended = max(0.0, self.ended - 1)

    def goes_on(self, assumed: float = 0.0) -> float:
        """The share of calls that do, with two more, of which so many do: few tell little."""
        return (self.continued + assumed) / (self.continued + self.ended + 2)


@dataclass(eq=False, slots=True)
class TenantCalls:
    """One tenant's calls, and what they are like."""

    weight: float
    running: dict[int, _Last] = field(default_factory=dict)
    """The last turn of each call, by the turn's key: of the calls whose last turn runs,"""
    paused: OrderedDict[int, _Last] = field(default_factory=OrderedDict)
    """of those whose caller is to speak, the longest ago first,"""
    silent: OrderedDict[int, _Last] = field(default_factory=OrderedDict)
    """and of those that have most likely ended, for that has lasted longer than it usually does."""
    cycle_s: float | None = None
    """From a turn of a call to its next; None before any call was continued."""
    pause_s: float = 0.0
    """From a turn's end to the next."""
    pauses: int = 0
    """Ever."""
    long_pause_s: float = _LEAST_LONG_S
    """So long are few."""
    after_first: _Odds = field(default_factory=_Odds)
    after_first_of: OrderedDict[int, _Odds] = field(default_factory=OrderedDict)
    """Of each agent: whoever has single questions beside conversations has other system prompts for them."""
    after_later: _Odds = field(default_factory=_Odds)
    first_in_progress: Counter[int | None] = field(default_factory=Counter)
    """Of those that run or are paused: each agent's whose last turn is their first."""
    offered: float = 0.0
    """First turns, let in or not, up to `offered_s`; they fade."""
    offered_turns: float = 0.0
    """The same with the turns that such calls have in all."""
    offered_s: float = 0.0

    @property
    def in_progress(self) -> int:
        """Calls that have most likely not ended."""
        return len(self.running) + len(self.paused)

    def to_come_per_s(self, turn_s: float, *, more: int = 0) -> float:
        """Turns that its calls in progress, and so many more, will ask for where a turn takes so long."""
        if self.cycle_s is None:
            return 0.0
        later = self.in_progress - self.first_in_progress.total()
        going_on = later * self._likely(None, is_first=False)
        going_on += sum(calls * self._likely(agent, is_first=True) for agent, calls in self.first_in_progress.items())
        return (going_on + more) / max(_LEAST_CYCLE_S, self.pause_s + turn_s)

    def offer(self, agent: int | None, now_s: float) -> None:
        """A call's first turn has come."""
        self.offered, self.offered_turns = self.offered_at(now_s)
        self.offered_s = now_s
        self.offered += 1
        self.offered_turns += 1 + self._likely(agent, is_first=True) / (1 - self._likely(agent, is_first=False))

    def offered_at(self, now_s: float) -> tuple[float, float]:
        """Calls offered of late, and the turns that they have in all."""
        kept = math.exp((self.offered_s - now_s) / RATE_S)
        return kept * self.offered, kept * self.offered_turns

    def went_on(self, before: int, now_s: float) -> None:
        """The call whose last turn had this key has its next."""
        last = self._forget(before)
        if last is None:
            return
        pause_s = max(0.0, now_s - last.ended_s)
        if self.cycle_s is None:
            self.cycle_s, self.long_pause_s = 0.0, 2 * pause_s
        self.pauses += 1
        share = max(_NEW_SHARE, 1 / self.pauses)
        self.cycle_s += share * (now_s - last.came_s - self.cycle_s)
        self.pause_s += share * (pause_s - self.pause_s)
        moved = 1 + _LONG_STEP * ((pause_s > self.long_pause_s) - _LONG_PAUSES)
        self.long_pause_s = max(_LEAST_LONG_S, moved * self.long_pause_s)
        self._learn(last, goes_on=True)

    def came(self, key: int, agent: int | None, now_s: float, *, is_first: bool) -> None:
        """A turn with this key was let in: its call is in progress."""
        again = self._forget(key)  # By a client that tries once more.
        is_first = again.is_first if again else is_first
        self.running[key] = _Last(now_s, agent, is_first)
        if is_first:
            self.first_in_progress[agent] += 1

    def ended(self, key: int, now_s: float) -> None:
        """The turn with this key has."""
        if last := self.running.pop(key, None) or self.paused.pop(key, None):
            last.ended_s = now_s
            self.paused[key] = last

    def age(self, now_s: float) -> None:
        """Calls that have been silent for long are over."""
        while self.paused and _is_over(self.paused, now_s - self.long_pause_s):
            key, last = self.paused.popitem(last=False)
            self._leaves(last)
            self._learn(last, goes_on=False)
            self.silent[key] = last
        while self.silent and _is_over(self.silent, now_s - _FORGOTTEN_S):
            self.silent.popitem(last=False)

    def knows(self, key: int) -> bool:
        """Whether a call's last turn has this key."""
        return key in self.running or key in self.paused or key in self.silent

    def _forget(self, key: int) -> _Last | None:
        if last := self.running.pop(key, None) or self.paused.pop(key, None):
            self._leaves(last)
        elif last := self.silent.pop(key, None):
            for odds in self._odds(last):
                odds.unlearn_end()
        return last

    def _leaves(self, last: _Last) -> None:
        """It is no longer among those in progress."""
        if last.is_first:
            self.first_in_progress[last.agent] -= 1
            if not self.first_in_progress[last.agent]:
                del self.first_in_progress[last.agent]

    def _likely(self, agent: int | None, *, is_first: bool) -> float:
        """The share of calls that go on after their first turn with this agent, or after a later one."""
        after_first = self.after_first.goes_on()
        if not is_first:
            return self.after_later.goes_on(after_first)
        known = None if agent is None else self.after_first_of.get(agent)
        return known.goes_on(2 * after_first) if known else after_first

    def _learn(self, last: _Last, *, goes_on: bool) -> None:
        if last.is_first and last.agent is not None:
            self.after_first_of.setdefault(last.agent, _Odds())
            self.after_first_of.move_to_end(last.agent)
            if len(self.after_first_of) > _AGENTS:
                self.after_first_of.popitem(last=False)
        for odds in self._odds(last):
            odds.learn(goes_on=goes_on)

    def _odds(self, last: _Last) -> Iterator[_Odds]:
        """All that such a turn tells of."""
        if not last.is_first:
            yield self.after_later
            return
        yield self.after_first
        if last.agent is not None and last.agent in self.after_first_of:
            yield self.after_first_of[last.agent]


def _is_over(calls: OrderedDict[int, _Last], before_s: float) -> bool:
    return len(calls) > _REMEMBERED or next(iter(calls.values())).ended_s < before_s
