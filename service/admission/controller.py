"""Room for turns, in two steps: `enter` refuses cheaply, before any template or tokenizer work, what could not have its
first word in time; `Slot.start` waits for the engine, in the order of the room, no longer than the turn's budget allows.

Both are scopes: a place can't leak. What runs is never stopped for what comes.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass

from service.admission.calls import Calls
from service.admission.door import Door
from service.admission.estimate import Asked, Estimator
from service.admission.forecast import Ttft
from service.admission.guard import Guard
from service.admission.room import Waiter
from service.domain import ChatJob, EngineStep, ModelCard, PreparedTurn, TenantPolicy, Usage
from service.errors import Overloaded, PromptTooLong

_MOST_RETRY_S = 60
# What we do of our own accord: of no tenant (each has a name), and behind every priority that one may have.
_NOBODY, _BEHIND_ALL = "", TenantPolicy(priority=-(2**31))


@dataclass(eq=False, slots=True)
class Slot:
    """One turn's place: in the room until `start`, then in the engine. Times are monotonic seconds."""

    admission: "AdmissionController"
    asked: Asked
    waiter: Waiter
    entered_s: float
    deadline_s: float
    forecast: Ttft | None = None
    """From entering to the first token; None where nobody waits for it."""
    forecast_error_s: float = 0.0
    """Once it has begun: the forecast less what it took."""
    has_begun: bool = False

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """For the work before the engine: raises `Overloaded` where it takes all of the budget, but for a turn that is alone."""
        left_s = self.deadline_s - self.admission.clock()
        limit = asyncio.timeout(None if self.admission.entered == 1 or math.isinf(left_s) else max(0.0, left_s))
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
            await self.admission.admit(self, turn)
            yield
        finally:
            self.admission.leave(self)

    def begun(self) -> None:
        """Its first token is there."""
        if not self.has_begun:
            self.has_begun = True
            self.admission.begun(self)

    def finished(self, usage: Usage) -> None:
        """What it has cost, for the estimates to come."""
        self.admission.estimator.finished(self.asked, usage)


class AdmissionController:
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
        self.calls = Calls()
        self.door = Door(tpot_bound_s=tpot_bound_s, max_turns=max_turns, clock=clock)
        self.pace, self.forecast, self.load = self.door.pace, self.door.forecast, self.door.load
        self._guard = Guard(self.calls, self.forecast, self.estimator)
        self.entered = 0
        self._behind = 0
        """Of those that have entered, what nobody waits for."""
        self._max_turns = max_turns
        self.clock = clock
        self._empty = asyncio.Event()
        self._empty.set()

    def engine_silent_s(self) -> float:
        """How long the engine has had turns since its last step."""
        return self.door.engine_silent_s()

    @property
    def running(self) -> int:
        """Turns in the engine."""
        return self.door.running

    @property
    def waiting(self) -> int:
        """Turns that have entered and not started: being rendered and tokenized, or waiting for the engine."""
        return self.entered - self.running

    @contextmanager
    def enter(self, job: ChatJob, policy: TenantPolicy, *, deadline_s: float) -> Iterator[Slot]:
        """Hold a place for the whole turn, whose first word is due at `deadline_s`.

        Raises `Overloaded`, or `PromptTooLong` for what cannot fit whatever its tokens.
        """
        least_tokens = -(-job.prompt_chars // self.model.max_chars_per_token)
        if least_tokens > self.model.max_model_len:
            raise PromptTooLong(limit=self.model.max_model_len, given=least_tokens, is_lower_bound=True)
        now_s = self.clock()
        slot = self._slot(job, job.tenant, policy, now_s, deadline_s)
        keys, continues_call = slot.asked.keys, job.continues_call
        link = self.calls.offer(keys, job.tenant, policy.weight, continues_call=continues_call, now_s=now_s)
        self._check(slot, now_s)
        self.calls.admit(link, now_s)
        try:
            with self._held(slot):
                yield slot
        finally:
            self.calls.end(link, self.clock())

    def enter_behind_all(self, job: ChatJob) -> AbstractContextManager[Slot]:
        """Hold a place for what nobody waits for: never refused, it goes when nobody else would."""
        return self._held(self._slot(job, _NOBODY, _BEHIND_ALL, self.clock(), math.inf))

    def has_room_to_spare(self, prompt_tokens: int) -> bool:
        """Whether a turn that nobody waits for, with so many tokens to compute, would be in nobody's way."""
        if not self.entered:
            return True
        is_half_empty = not self.waiting and 2 * self.load.turns < self.forecast.most_turns
        # Half a step's prompts, too: whoever speaks next waits for all that it takes.
        return is_half_empty and self.forecast.fits_in_step(2 * (self.load.prompt_tokens + prompt_tokens))

    async def until_empty(self) -> None:
        """Return once no turn is in the service."""
        await self._empty.wait()

    def observe(self, step: EngineStep) -> None:
        """Learn from a step of the engine, and let in who may now go."""
        self.door.observe(step)

    def _slot(self, job: ChatJob, tenant: str, policy: TenantPolicy, now_s: float, deadline_s: float) -> Slot:
        asked = self.estimator.look_at(job)
        cost = self.estimator.estimate(asked)
        work_s, slots = self.forecast.work_s(cost), job.sampling.n
        waiter = Waiter(tenant, policy, job.continues_call, cost, work_s, slots=slots, due_s=deadline_s)
        return Slot(self, asked, waiter, now_s, deadline_s)

    @contextmanager
    def _held(self, slot: Slot) -> Iterator[Slot]:
        waiter = slot.waiter
        self.door.add(waiter)
        self.entered += 1
        self._behind += waiter.tenant == _NOBODY
        self._empty.clear()
        try:
            yield slot
        finally:
            self.entered -= 1
            self._behind -= waiter.tenant == _NOBODY
            self.door.drop(waiter)
            if not self.entered:
                self._empty.set()

    def _check(self, slot: Slot, now_s: float) -> None:
        """Raises `Overloaded`. An empty service never refuses: what is forecast for it may be wrong, and nobody is before it."""
        others = self.entered - self._behind
        if others >= self._max_turns:
            raise _refused("full", f"{self._max_turns} turns are in progress, which is the limit", 1.0)
        waiter = slot.waiter
        limit, overtaken = self.door.limit(waiter), self._guard.overtaking_share(waiter, now_s)
        ttft = self.forecast.ttft(waiter, self.load, self.door.room.ahead_of(waiter), now_s, limit=limit, overtaken=overtaken)
        slot.forecast = ttft
        # What most likely can't fit at all is told so once it is tokenized: nowhere else would it fit.
        if not others or waiter.cost.prompt_tokens > self.model.max_model_len:
            return
        needed_s = ttft.likely_s if self.door.is_owed(waiter) else ttft.safe_s
        budget_s = slot.deadline_s - now_s
        over_s = needed_s - budget_s
        if over_s > 0:
            if self.load.turns >= limit:
                self.pace.doubt_beyond(self.load.turns, now_s)
            words = f"the first word may take {needed_s:.1f} s, and {max(0.0, budget_s):.1f} s are left for it"
            raise _refused("forecast", words, over_s)
        if waiter.continues_call:
            return
        if not self._guard.has_room(waiter, now_s, budget_s=budget_s):
            retry_s = self.calls.cycle_s(waiter.tenant) or 1.0
            raise _refused("calls", "the calls in progress will take what there is", retry_s)

    async def admit(self, slot: Slot, turn: PreparedTurn) -> None:
        """Exact tokens take the estimate's place; then wait. Raises `Overloaded`."""
        waiter = slot.waiter
        waiter.cost = self.estimator.exact(slot.asked, turn.prompt_tokens)
        waiter.work_s = self.forecast.work_s(waiter.cost)
        waiter.is_ready = True
        self.door.let_in()
        if not self.door.is_waiting(waiter):
            return
        waiter.go = asyncio.get_running_loop().create_future()
        needed_s = self.forecast.first_token_s(waiter.cost.uncached_tokens, self.load.turns)
        left_s = slot.deadline_s - needed_s - self.clock()
        try:
            async with asyncio.timeout(max(0.0, left_s) if math.isfinite(left_s) else None):
                await waiter.go
        except TimeoutError:
            if not self.door.is_waiting(waiter) or self.door.let_in_at_last(waiter):
                return
            if slot.forecast is not None:
                self.forecast.learn(slot.forecast, slot.deadline_s - slot.entered_s)
            raise _expired(needed_s) from None

    def begun(self, slot: Slot) -> None:
        self.estimator.begun(slot.asked, slot.waiter.cost.prompt_tokens)
        actual_s = self.clock() - slot.entered_s
        if slot.forecast is not None:
            slot.forecast_error_s = slot.forecast.likely_s - actual_s
            self.forecast.learn(slot.forecast, actual_s)
        self.door.begun(slot.waiter)

    def leave(self, slot: Slot) -> None:
        if not self.door.is_waiting(slot.waiter):  # Or it has not come as far as the engine.
            self.door.left(slot.waiter, has_begun=slot.has_begun)


def _expired(needed_s: float) -> Overloaded:
    return _refused("expired", "the first word can no longer come in time", needed_s)


def _refused(reason: str, words: str, retry_s: float) -> Overloaded:
    return Overloaded(words, reason=reason, retry_after_s=min(_MOST_RETRY_S, max(1, math.ceil(retry_s))))
