"""The beginnings of calls, computed before they come: the configured system prompts, in the engine's prefix cache.

At the start each is computed once for each prefix cache that may need it, so that a call's first turn finds it there. The
engine drops what has not been used for longest when its cache is full, and tells nobody; so eviction is inferred. A turn that
finds less of a prompt than it should says how long an unused prompt lives: so many tokens computed since it was last used.
From then on each is used again at half that age, while the engine has room to spare.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import structlog

from service.admission import AdmissionController
from service.domain import Adapter, Caller, ChatJob, EngineStep, Finished, Usage
from service.engine.model_registry import ModelRegistry
from service.engine.protocol import Engine
from service.errors import ModelNotFound, StartError, TurnError
from service.ids import new_id
from service.normalize import internal_job
from service.settings import SystemPrompt
from service.telemetry.telemetry import Telemetry

_log = structlog.get_logger("firstword.warmth")
POLL_S = 1.0
_LEAST_PAUSE_S = 5.0
"""Between two computations of prompts while we serve: a cache that is too small for them all must not keep the engine busy."""
# Whatever a caller says first. The second begins within the system message: what both have in common, a longer one has, too.
_FIRST_WORDS, _MORE_SYSTEM = "Hello!", "\n\nBe brief."


@dataclass(eq=False, slots=True)
class _Target:
    """One system prompt in one prefix cache."""

    prompt: SystemPrompt
    job: ChatJob
    """What computes it."""
    expected_tokens: int = 0
    """Cached tokens that a turn beginning with it finds."""
    used_at: float = -math.inf
    """When it was last used, in tokens that the engine had computed by then."""

    def begins(self, job: ChatJob) -> bool:
        """Whether a turn finds its beginning here."""
        return _cached_by(job) == _cached_by(self.job) and job.messages[0].content.startswith(self.prompt.system)


_Key = tuple[int, str | None, Adapter | None]
"""The prompt's number in the list, and what keeps one prefix cache apart from another."""


@dataclass(slots=True)
class _Lifetime:
    """How long an unused prompt stays in the cache, in tokens computed; unknown until one was evicted."""

    tokens: float = math.inf

    def was_found(self, age: float) -> None:
        self.tokens = max(self.tokens, age)

    def was_evicted(self, age: float) -> None:
        self.tokens = min(self.tokens, age)


@dataclass(slots=True)
class PrefixWarmup:
    """Keeps the configured system prompts in the prefix cache. `callers`: who may come, one for each tenant."""

    engine: Engine
    admission: AdmissionController
    model_registry: ModelRegistry
    telemetry: Telemetry
    prompts: list[SystemPrompt]
    callers: Callable[[], Iterable[Caller]]
    _targets: dict[_Key, _Target] = field(default_factory=dict)
    _lifetime: _Lifetime = field(default_factory=_Lifetime)
    _computed_tokens: int = 0
    _failed: set[int] = field(default_factory=set)
    """The numbers of those that failed while we served, told of once."""

    def on_step(self, step: EngineStep) -> None:
        """Listens to the engine."""
        self._computed_tokens += step.prefilled_tokens + step.generated_tokens

    async def start(self) -> None:
        """Compute every prompt. Raises `StartError` for one that no turn could begin with."""
        tenants = {caller.tenant for caller in self.callers()}
        for number, prompt in enumerate(self.prompts, start=1):
            for tenant in sorted(set(prompt.tenants or ()) - tenants):
                _log.warning("a system prompt is for a tenant that has no key", prompt=number, tenant=tenant)
        for number, prompt, caller in self._wanted():
            try:
                target = await self._warm(number, prompt, caller)
            except ModelNotFound:
                _log.warning("a system prompt is for a model that is not served", prompt=number)
            except TurnError as error:
                raise StartError(f"FIRSTWORD_SYSTEM_PROMPTS: number {number} can't begin a turn: {error.message}") from None
            else:
                if not target.expected_tokens:
                    _log.warning("a system prompt is shorter than a block of the prefix cache: it stays cold", prompt=number)
        if self._targets:
            cached_tokens = sum(target.expected_tokens for target in self._targets.values())
            _log.info("system prompts are warm", prompts=len(self.prompts), cached_tokens=cached_tokens)

    async def keep(self) -> None:
        """For ever, where any is configured: compute again what has most likely been evicted, and what a new tenant needs."""
        while self.prompts:
            await asyncio.sleep(POLL_S)
            for number, prompt, caller in self._cold():
                if await self._was_warmed(number, prompt, caller):
                    await asyncio.sleep(_LEAST_PAUSE_S)
                    break

    def used(self, job: ChatJob, usage: Usage) -> None:
        """A turn has ended: did it find as much of its system prompt as it should?"""
        for target in self._targets.values():
            if target.expected_tokens and target.begins(job):
                self._seen(target, usage)

    def _seen(self, target: _Target, usage: Usage) -> bool:
        """Whether it was found in the cache."""
        age = self._computed_tokens - target.used_at
        was_found = usage.cached_tokens >= target.expected_tokens
        if was_found:
            self._lifetime.was_found(age)
        else:
            self.telemetry.metrics.system_prompt_evictions.inc()
            self._lifetime.was_evicted(age)
        target.used_at = self._computed_tokens
        return was_found

    def _wanted(self) -> Iterator[tuple[int, SystemPrompt, Caller]]:
        """Each prompt with a caller for each cache in which it is wanted, numbered from 1."""
        callers = sorted(self.callers(), key=lambda caller: caller.tenant)
        for number, prompt in enumerate(self.prompts, start=1):
            wanted = [caller for caller in callers if prompt.tenants is None or caller.tenant in prompt.tenants]
            for caller in {caller.cache_salt: caller for caller in reversed(wanted)}.values():
                yield number, prompt, caller

    def _cold(self) -> list[tuple[int, SystemPrompt, Caller]]:
        """What is wanted and most likely not in the cache, the longest unused first, and before it what never was there."""
        cold = []
        for number, prompt, caller in self._wanted():
            with contextlib.suppress(ModelNotFound):  # An adapter that may come yet.
                target = self._targets.get(self._key(number, prompt, caller))
                if target is None or self._is_cold(target):
                    cold.append((target.used_at if target else -math.inf, (number, prompt, caller)))
        return [wanted for _, wanted in sorted(cold, key=lambda each: each[0])]

    async def _was_warmed(self, number: int, prompt: SystemPrompt, caller: Caller) -> bool:
        """Whether there was room to spare for it, and nothing wrong with it."""
        if not self.admission.has_room_to_spare(len(orjson.dumps(prompt.model_dump()))):  # A token is a byte at least.
            return False
        try:
            await self._warm(number, prompt, caller)
        except (
            Exception
        ) as error:  # One that fails must not keep the others from their turn. Never its words: see `ErrorMiddleware`.
            if number not in self._failed:
                self._failed.add(number)
                _log.error("a system prompt could not be computed", prompt=number, error=type(error).__name__)
            return False
        return True

    def _key(self, number: int, prompt: SystemPrompt, caller: Caller) -> _Key:
        """Raises `ModelNotFound`."""
        return number, caller.cache_salt, self.model_registry.resolve(prompt.model or self.model_registry.card.name)

    def _is_cold(self, target: _Target) -> bool:
        return bool(target.expected_tokens) and self._computed_tokens - target.used_at > self._lifetime.tokens / 2

    async def _warm(self, number: int, prompt: SystemPrompt, caller: Caller) -> _Target:
        """Compute a prompt: at first also see how much of it a turn will find, later only whether it was still there."""
        key = self._key(number, prompt, caller)
        target = self._targets.get(key)
        if target is None:
            target = _Target(prompt, self._job(prompt, caller, more_system=_MORE_SYSTEM))
            await self._compute(self._job(prompt, caller))
            target.expected_tokens = (await self._compute(target.job)).cached_tokens
            target.used_at = self._computed_tokens
            self._targets[key] = target
            self.telemetry.metrics.system_prompt_warmups.labels("computed").inc()
        else:
            was_found = self._seen(target, await self._compute(replace(target.job, turn_id=_turn_id())))
            self.telemetry.metrics.system_prompt_warmups.labels("found" if was_found else "computed").inc()
        return target

    def _job(self, prompt: SystemPrompt, caller: Caller, *, more_system: str = "") -> ChatJob:
        messages = [
            {"role": "system", "content": prompt.system + more_system},
            {"role": "user", "content": _FIRST_WORDS},
        ]
        asked: dict[str, Any] = {"messages": messages, "max_tokens": 1}
        if prompt.model:
            asked |= {"model": prompt.model}
        if prompt.tools:
            asked |= {"tools": prompt.tools}
        return internal_job(asked, caller=caller, turn_id=_turn_id(), model_registry=self.model_registry)

    async def _compute(self, job: ChatJob) -> Usage:
        """Through the gate, behind everybody: what it takes of the engine is known to those who forecast."""
        usage = Usage(0, 0, 0)
        with self.model_registry.using(job.adapter), self.admission.enter_behind_all(job) as slot:
            prepared = await self.engine.prepare(job)
            async with slot.start(prepared), aclosing(self.engine.generate(prepared)) as steps:
                async for step in steps:
                    slot.begun()
                    if step and isinstance(end := step[-1], Finished):
                        usage = end.usage
        return usage


def _cached_by(job: ChatJob) -> tuple[object, ...]:
    """What, beside the first message, decides which tokens a prompt begins with, and in which prefix cache they are sought."""
    return job.cache_salt, job.adapter, job.tool_use and job.tool_use.tools, job.template_kwargs, job.reasoning_effort


def _turn_id() -> str:
    return f"system-prompt-{new_id()}"
