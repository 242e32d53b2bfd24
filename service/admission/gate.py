"""Room for turns, in two steps: `enter` refuses cheaply, before any template or tokenizer work, what could not have its
first word in time; `Place.start` waits for the engine, in the order of the room, no longer than the turn's budget allows.

Both are scopes: a place can't leak. What runs is never stopped for what comes.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass

from service.admission.calls import Calls
from service.admission.estimate import Asked, Estimator
from service.admission.forecast import Forecast, Ttft
from service.admission.guard import Guard
from service.admission.load import Load
from service.admission.pace import Pace
from service.admission.room import Room, Waiter
from service.admission.silence import Silence
from service.domain import ChatJob, EngineStep, ModelCard, PreparedTurn, TenantPolicy, Usage
from service.errors import Overloaded, PromptTooLong

_MOST_KV_USAGE = 0.9
"""Above it the engine may have to throw running turns out and compute them again."""
_MOST_RETRY_S = 60
# What we do of our own accord: of no tenant (each has a name), and behind every priority that one may have.
_NOBODY, _BEHIND_ALL = "", TenantPolicy(priority=-(2**31))


@dataclass(eq=False, slots=True)
class Place:
    """One turn's place: in the room until `start`, then in the engine. Times are monotonic seconds."""

    gate: "Gate"
    asked: Asked
    waiter: Waiter
    entered_s: float
    deadline_s: float
    forecast: Ttft | None = None
    """From entering to the first token; None where nobody waits for it."""
    go: asyncio.Future[None] | None = None
    forecast_error_s: float = 0.0
    """Once it has begun: the forecast less what it took."""
    has_begun: bool = False

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """For the work before the engine: raises `Overloaded` where it takes all of the budget, but for a turn that is alone."""
        left_s = self.deadline_s - self.gate._clock()
        limit = asyncio.timeout(None if self.gate.entered == 1 or math.isinf(left_s) else max(0.0, left_s))
        try:
            async with limit:
                yield
        except TimeoutError:
            if limit.expired():
                raise _expired(0.0) from None
            raise

    @asynccontextmanager
    async def start(self, turn: PreparedTurn) -> AsyncIterator[None]:
        """Wait for the engine; the turn is in it within this scope. Raises `Overloaded` as soon as its budget can't be met."""
        try:
            await self.gate._admit(self, turn)
            yield
        finally:
            self.gate._leave(self)

    def begun(self) -> None:
        """Its first token is there."""
        if not self.has_begun:
            self.has_begun = True
            self.gate._begun(self)

    def finished(self, usage: Usage) -> None:
        """What it has cost, for the estimates to come."""
        self.gate.estimator.finished(self.asked, usage)


class Gate:
    """Lets turns into one engine."""

    def __init__(
        self,
        *,
        max_turns: int,
        model: ModelCard,
        tpot_bound_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_turns` bounds the turns in the service whatever the engine's pace."""
        self.model = model
        self.estimator = Estimator()
        self.pace = Pace()
        self._silence = Silence()
        self.calls = Calls()
        self.forecast = Forecast(self.pace, tpot_bound_s=tpot_bound_s, max_turns=max_turns)
        self._guard = Guard(self.calls, self.forecast, self.estimator)
        self.entered = 0
        self.running = 0
        self._behind = 0
        """Of those that have entered, what nobody waits for."""
        self._room = Room()
        self.load = Load()
        self._max_turns = max_turns
        self._clock = clock
        self._places: dict[Waiter, Place] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def engine_silent_s(self) -> float:
        """How long the engine has had turns since its last step."""
        return self._silence.lasts_s(self._clock())

    @property
    def waiting(self) -> int:
        """Turns that have entered and not started: being rendered and tokenized, or waiting for the engine."""
        return self.entered - self.running

    @contextmanager
    def enter(self, job: ChatJob, policy: TenantPolicy, *, deadline_s: float) -> Iterator[Place]:
        """Hold a place for the whole turn, whose first word is due at `deadline_s`.

        Raises `Overloaded`, or `PromptTooLong` for what cannot fit whatever its tokens.
        """
        least_tokens = -(-job.prompt_chars // self.model.max_chars_per_token)
        if least_tokens > self.model.max_model_len:
            raise PromptTooLong(limit=self.model.max_model_len, given=least_tokens, is_lower_bound=True)
        now_s = self._clock()
        place = self._place(job, job.tenant, policy, now_s, deadline_s)
        keys, continues_call = place.asked.keys, job.continues_call
        link = self.calls.offer(keys, job.tenant, policy.weight, continues_call=continues_call, now_s=now_s)
        self._check(place, now_s)
        self.calls.admit(link, now_s)
        try:
            with self._held(place):
                yield place
        finally:
            self.calls.end(link, self._clock())

    def enter_behind_all(self, job: ChatJob) -> AbstractContextManager[Place]:
        """Hold a place for what nobody waits for: never refused, it goes when nobody else would."""
        return self._held(self._place(job, _NOBODY, _BEHIND_ALL, self._clock(), math.inf))

    def has_room_to_spare(self, prompt_tokens: int) -> bool:
        """Whether a turn that nobody waits for, with so many tokens to compute, would be in nobody's way."""
        if not self.entered:
            return True
        is_half_empty = not self.waiting and 2 * self.load.turns < self.forecast.most_turns
        return is_half_empty and self.forecast.fits_in_step(self.load.prompt_tokens + prompt_tokens)

    async def until_empty(self) -> None:
        """Return once no turn is in the service."""
        await self._empty.wait()

    def observe(self, step: EngineStep) -> None:
        """Learn from a step of the engine, and let in who may now go."""
        self.pace.observe(step)
        self._silence.stepped(step.at_s)
        self.load.stepped()
        self._let_in()

    def _place(self, job: ChatJob, tenant: str, policy: TenantPolicy, now_s: float, deadline_s: float) -> Place:
        asked = self.estimator.look_at(job)
        cost = self.estimator.estimate(asked)
        work_s, slots = self.forecast.work_s(cost), job.sampling.n
        waiter = Waiter(tenant, policy, job.continues_call, cost, work_s, slots=slots, due_s=deadline_s)
        return Place(self, asked, waiter, now_s, deadline_s)

    @contextmanager
    def _held(self, place: Place) -> Iterator[Place]:
        waiter = place.waiter
        self._room.add(waiter)
        self._places[waiter] = place
        self.entered += 1
        self._behind += waiter.tenant == _NOBODY
        self._empty.clear()
        try:
            yield place
        finally:
            self.entered -= 1
            self._behind -= waiter.tenant == _NOBODY
            if self._places.pop(waiter, None) is not None:
                self._room.remove(waiter)
                self._let_in()
            if not self.entered:
                self._empty.set()

    def _check(self, place: Place, now_s: float) -> None:
        """Raises `Overloaded`. An empty service never refuses: what is forecast for it may be wrong, and nobody is before it."""
        others = self.entered - self._behind
        if others >= self._max_turns:
            raise _refused("full", f"{self._max_turns} turns are in progress, which is the limit", 1.0)
        waiter = place.waiter
        limit, overtaken = self._limit(waiter), self._guard.overtaking_share(waiter, now_s)
        ttft = self.forecast.ttft(waiter, self.load, self._room.ahead_of(waiter), now_s, limit=limit, overtaken=overtaken)
        place.forecast = ttft
        # What most likely can't fit at all is told so once it is tokenized: nowhere else would it fit.
        if not others or waiter.cost.prompt_tokens > self.model.max_model_len:
            return
        needed_s = ttft.likely_s if self._is_owed(waiter) else ttft.safe_s
        budget_s = place.deadline_s - now_s
        over_s = needed_s - budget_s
        if over_s > 0:
            if self.load.turns >= limit:
                self.pace.doubt_beyond(self.load.turns, now_s)
            words = f"the first word may take {needed_s:.1f} s, and {max(0.0, budget_s):.1f} s are left for it"
            raise _refused("forecast", words, over_s)
        if waiter.continues_call:
            return
        if not self._guard.has_room(waiter, now_s, budget_s=budget_s, running=self.load.turns):
            retry_s = self.calls.cycle_s(waiter.tenant) or 1.0
            raise _refused("calls", "the calls in progress will take what there is", retry_s)

    async def _admit(self, place: Place, turn: PreparedTurn) -> None:
        """Exact tokens take the estimate's place; then wait. Raises `Overloaded`."""
        waiter = place.waiter
        waiter.cost = self.estimator.exact(place.asked, turn.prompt_tokens)
        waiter.work_s = self.forecast.work_s(waiter.cost)
        waiter.is_ready = True
        self._let_in()
        if waiter not in self._places:
            return
        place.go = asyncio.get_running_loop().create_future()
        needed_s = self.forecast.first_token_s(waiter.cost.uncached_tokens, self.load.turns)
        left_s = place.deadline_s - needed_s - self._clock()
        try:
            async with asyncio.timeout(max(0.0, left_s) if math.isfinite(left_s) else None):
                await place.go
        except TimeoutError:
            if waiter not in self._places:
                return  # Let in at the very moment.
            # It was told to wait: better into what is kept for others than away. One such prompt at a time goes beyond a step.
            is_step_full = not self.forecast.fits_in_step(self.load.next_tokens)
            if not is_step_full and self._has_room(waiter, limit=self.forecast.most_turns_owed):
                self._take(waiter)
                return
            if place.forecast is not None:
                self.forecast.learn(place.forecast, place.deadline_s - place.entered_s)
            raise _expired(needed_s) from None

    def _let_in(self) -> None:
        """All who may go, in the order of the room."""
        while self._places and (waiter := self._next()) is not None:
            self._take(waiter)

    def _take(self, waiter: Waiter) -> None:
        self._room.take(waiter)
        place = self._places.pop(waiter)
        self.running += 1
        if self.running == 1:
            self._silence.busy(self._clock())
        self.load.add(waiter)
        self.pace.enter(self._clock())
        if place.go is not None and not place.go.done():
            place.go.set_result(None)

    def _next(self) -> Waiter | None:
        """Who goes now: the first in the room, or where that one is held back, the first of those that are owed a place."""
        heads = self._room.heads()
        for waiter in heads[:1] + [each for each in heads[1:] if self._is_owed(each)][:1]:
            if self._may_go(waiter):
                return waiter
            if self._is_owed(waiter):
                return None
        return None

    def _may_go(self, waiter: Waiter) -> bool:
        """Whether it may go now, and its prompt fits into the next step. Those in the step under way need not end first: it would
        begin a step later than it could.
        """
        return self._has_room(waiter, limit=self._limit(waiter)) and (not self.load.next_tokens or self._fits_in_next(waiter))

    def _fits_in_next(self, waiter: Waiter) -> bool:
        """Whether the next step may take its prompt, too: it would have those with theirs in it wait for longer."""
        tokens, now_s = waiter.cost.uncached_tokens, self._clock()
        is_in_time = now_s + self.forecast.computed_s(tokens, self.load, now_s) <= self.load.next_due_s
        return is_in_time and self.forecast.fits_in_step(self.load.next_tokens + tokens)

    def _has_room(self, waiter: Waiter, *, limit: int) -> bool:
        if not self.running:
            return True
        if self.load.turns + min(waiter.slots, limit) > limit:
            self.pace.doubt_beyond(self.load.turns, self._clock())
            return False
        step = self.pace.last_step
        # Better here, in the order of the room, than in the engine's own line.
        return step is None or (step.kv_usage <= _MOST_KV_USAGE and not step.waiting)

    def _limit(self, waiter: Waiter) -> int:
        """How many turns may run, with this one."""
        return self.forecast.most_turns_owed if self._is_owed(waiter) else self.forecast.most_turns

    def _is_owed(self, waiter: Waiter) -> bool:
        """Whether it may use what is kept from others: one that continues a call has nowhere else to go, and a tenant that has
        had less than its share, while others use theirs, is to get it.
        """
        is_alone = self.load.by_tenant.keys() <= {waiter.tenant}
        return waiter.continues_call or (not is_alone and self._room.has_credit(waiter))

    def _begun(self, place: Place) -> None:
        self.load.begun(place.waiter)
        self.estimator.begun(place.asked)
        actual_s = self._clock() - place.entered_s
        if place.forecast is not None:
            place.forecast_error_s = place.forecast.likely_s - actual_s
            self.forecast.learn(place.forecast, actual_s)
        self._let_in()

    def _leave(self, place: Place) -> None:
        if place.waiter in self._places:
            return  # It has not come as far as the engine.
        self.running -= 1
        if not self.running:
            self._silence.idle(self._clock())
        self.load.remove(place.waiter, has_begun=place.has_begun)
        self.pace.leave()
        self._let_in()


def _expired(needed_s: float) -> Overloaded:
    return _refused("expired", "the first word can no longer come in time", needed_s)


def _refused(reason: str, words: str, retry_s: float) -> Overloaded:
    return Overloaded(words, reason=reason, retry_after_s=min(_MOST_RETRY_S, max(1, math.ceil(retry_s))))
