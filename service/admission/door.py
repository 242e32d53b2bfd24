"""Between the waiting room and the engine: who goes in, and when. What runs is never stopped for what comes."""

from collections.abc import Callable

from service.admission.forecast import Forecast
from service.admission.load import Load
from service.admission.pace import Pace
from service.admission.room import Room, Waiter
from service.admission.silence import Silence
from service.domain import EngineStep

_MOST_KV_USAGE = 0.9
"""Above it the engine may have to throw running turns out and compute them again."""


class Door:
    """Knows the room before it, the engine behind it, and the engine's pace. Times are seconds of one monotonic clock."""

    def __init__(self, *, tpot_bound_s: float, max_turns: int, clock: Callable[[], float]) -> None:
        self.pace = Pace()
        self.forecast = Forecast(self.pace, tpot_bound_s=tpot_bound_s, max_turns=max_turns)
        self.load = Load()
        self.room = Room()
        self.running = 0
        """Turns in the engine, of any number of choices."""
        self._silence = Silence()
        self._waiting: set[Waiter] = set()
        self._clock = clock

    def engine_silent_s(self) -> float:
        """How long the engine has had turns since its last step."""
        return self._silence.lasts_s(self._clock())

    def observe(self, step: EngineStep) -> None:
        """Learn from a step of the engine, and let in who may now go."""
        self.pace.observe(step)
        self._silence.stepped(step.at_s)
        self.load.stepped()
        self.let_in()

    def add(self, waiter: Waiter) -> None:
        """It waits, from now until it is let in or dropped; it may go once it is ready."""
        self.room.add(waiter)
        self._waiting.add(waiter)

    def is_waiting(self, waiter: Waiter) -> bool:
        """Or it has been let in."""
        return waiter in self._waiting

    def drop(self, waiter: Waiter) -> None:
        """It no longer waits, however that came."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            self.room.remove(waiter)
            self.let_in()

    def let_in(self) -> None:
        """All who may go, in the order of the room."""
        while self._waiting and (waiter := self._next()) is not None:
            self._take(waiter)

    def let_in_at_last(self, waiter: Waiter) -> bool:
        """One whose time is up: it was told to wait, so better into what is kept for others than away, with a prompt that goes
        beyond a step at most where none before it did. Whether it was let in.
        """
        is_step_full = not self.forecast.fits_in_step(self.load.next_tokens)
        if is_step_full or not self._has_room(waiter, limit=self.forecast.most_turns_owed):
            return False
        self._take(waiter)
        return True

    def begun(self, waiter: Waiter) -> None:
        """Its prompt has been computed."""
        self.load.begun(waiter)
        self.let_in()

    def left(self, waiter: Waiter, *, has_begun: bool) -> None:
        """It has left the engine, however it ended."""
        self.running -= 1
        if not self.running:
            self._silence.idle(self._clock())
        self.load.remove(waiter, has_begun=has_begun)
        self.pace.leave()
        self.let_in()

    def limit(self, waiter: Waiter) -> int:
        """How many turns may run, with this one."""
        return self.forecast.most_turns_owed if self.is_owed(waiter) else self.forecast.most_turns

    def is_owed(self, waiter: Waiter) -> bool:
        """Whether it may use what is kept from others: one that continues a call has nowhere else to go, and a tenant that has
        had less than its share, while others use theirs, is to get it.
        """
        is_alone = self.load.by_tenant.keys() <= {waiter.tenant}
        return waiter.continues_call or (not is_alone and self.room.has_credit(waiter))

    def _take(self, waiter: Waiter) -> None:
        self.room.take(waiter)
        self._waiting.remove(waiter)
        self.running += 1
        if self.running == 1:
            self._silence.busy(self._clock())
        self.load.add(waiter)
        self.pace.enter(self._clock())
        if waiter.go is not None and not waiter.go.done():
            waiter.go.set_result(None)

    def _next(self) -> Waiter | None:
        """Who goes now: the first in the room, or where that one is held back, the first of those that are owed a place."""
        heads = self.room.heads()
        for waiter in heads[:1] + [each for each in heads[1:] if self.is_owed(each)][:1]:
            if self._may_go(waiter):
                return waiter
            if self.is_owed(waiter):
                return None
        return None

    def _may_go(self, waiter: Waiter) -> bool:
        """Whether it may go now, and its prompt fits into the next step. Those in the step under way need not end first: it would
        begin a step later than it could.
        """
        return self._has_room(waiter, limit=self.limit(waiter)) and (not self.load.next_tokens or self._fits_in_next(waiter))

    def _fits_in_next(self, waiter: Waiter) -> bool:
        """Whether the next step may take its prompt, too: it would have those with theirs in it wait for longer. A step takes
        more than it usually may where the one after would be too late for a turn that is owed a place.
        """
        tokens, now_s = waiter.cost.uncached_tokens, self._clock()
        computed_s = now_s + self.forecast.computed_s(tokens, self.load, now_s)
        if computed_s > self.load.next_due_s:
            return False
        if self.forecast.fits_in_step(self.load.next_tokens + tokens):
            return True
        later_s = now_s + self.forecast.computed_s(0, self.load, now_s) + self.forecast.own_s(tokens, self.load.turns)
        return self.is_owed(waiter) and computed_s <= waiter.due_s < later_s

    def _has_room(self, waiter: Waiter, *, limit: int) -> bool:
        if not self.running:
            return True
        if self.load.turns + min(waiter.slots, limit) > limit:
            self.pace.doubt_beyond(self.load.turns, self._clock())
            return False
        step = self.pace.last_step
        # Better here, in the order of the room, than in the engine's own line.
        return step is None or (step.kv_usage <= _MOST_KV_USAGE and not step.waiting)
