"""Prefix warm-up: keeps the configured system prompts in the engine's prefix cache, so that a call's first turn finds them there.

At the start, each prompt is computed once for each prefix cache that may need it. When its cache is full, the engine evicts what
was unused for longest and does not report it, so evictions are inferred. If a turn finds less of a prompt than was cached, the
prompt was evicted, and the tokens computed since its last use are the lifetime of an unused prompt. From then on, each prompt is
used again at half of that age, if the engine has spare capacity.
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

_log = structlog.get_logger("firstword.prefix_warmup")
POLL_S = 1.0
_LEAST_PAUSE_S = 5.0
"""Minimum seconds between two computations while serving: a cache too small for all prompts must not keep the engine busy."""
# The user message, and text that makes a longer system message. The tokens that both versions share are those that every longer
# one shares.
_FIRST_WORDS, _MORE_SYSTEM = "Hello!", "\n\nBe brief."


@dataclass(eq=False, slots=True)
class _Target:
    """One system prompt in one prefix cache."""

    prompt: SystemPrompt
    job: ChatJob
    """The job that computes the prompt."""
    expected_tokens: int = 0
    """Tokens that a turn which begins with this prompt finds in the cache."""
    used_at: float = -math.inf
    """When it was last used: the number of tokens that the engine had computed by then."""

    def begins(self, job: ChatJob) -> bool:
        """Return True if the job begins with this prompt and uses the same prefix cache."""
        return _cached_by(job) == _cached_by(self.job) and job.messages[0].content.startswith(self.prompt.system)


_Key = tuple[int, str | None, Adapter | None]
"""Number of the prompt in the list, and the cache salt and adapter that separate one prefix cache from another."""


@dataclass(slots=True)
class _Lifetime:
    """How long an unused prompt stays in the cache, in computed tokens. Infinite until a prompt was evicted."""

    tokens: float = math.inf

    def was_found(self, age: float) -> None:
        self.tokens = max(self.tokens, age)

    def was_evicted(self, age: float) -> None:
        self.tokens = min(self.tokens, age)


@dataclass(slots=True)
class PrefixWarmup:
    """Keeps the configured system prompts in the prefix cache. `callers` returns one caller for each tenant."""

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
    """Numbers of the prompts that failed while serving. Each is logged once."""

    def on_step(self, step: EngineStep) -> None:
        """Engine step listener."""
        self._computed_tokens += step.prefilled_tokens + step.generated_tokens

    async def start(self) -> None:
        """Compute every prompt. Raises `StartError` for a prompt that no turn can begin with."""
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
                raise StartError(f"FIRSTWORD_SYSTEM_PROMPTS: no turn can begin with prompt {number}: {error.message}") from None
            else:
                if not target.expected_tokens:
                    _log.warning("a system prompt is shorter than a prefix cache block, so it cannot be cached", prompt=number)
        if self._targets:
            cached_tokens = sum(target.expected_tokens for target in self._targets.values())
            _log.info("system prompts are cached", prompts=len(self.prompts), cached_tokens=cached_tokens)

    async def keep(self) -> None:
        """Compute prompts again that were probably evicted, and those that a new tenant needs. Returns only without prompts."""
        while self.prompts:
            await asyncio.sleep(POLL_S)
            for number, prompt, caller in self._cold():
                if await self._compute_if_spare(number, prompt, caller):
                    await asyncio.sleep(_LEAST_PAUSE_S)
                    break

    def used(self, job: ChatJob, usage: Usage) -> None:
        """Record whether a finished turn found its system prompt in the cache."""
        for target in self._targets.values():
            if target.expected_tokens and target.begins(job):
                self._seen(target, usage)

    def _seen(self, target: _Target, usage: Usage) -> bool:
        """Record a use of the prompt. Return True if it was in the cache."""
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
        """Yield each prompt, numbered from 1, with one caller for each prefix cache that needs it."""
        callers = sorted(self.callers(), key=lambda caller: caller.tenant)
        for number, prompt in enumerate(self.prompts, start=1):
            wanted = [caller for caller in callers if prompt.tenants is None or caller.tenant in prompt.tenants]
            for caller in {caller.cache_salt: caller for caller in reversed(wanted)}.values():
                yield number, prompt, caller

    def _cold(self) -> list[tuple[int, SystemPrompt, Caller]]:
        """Return the needed prompts that are probably not cached. Those never computed come first, then the longest unused."""
        cold = []
        for number, prompt, caller in self._wanted():
            with contextlib.suppress(ModelNotFound):  # Its adapter may be loaded later.
                target = self._targets.get(self._key(number, prompt, caller))
                if target is None or self._is_cold(target):
                    cold.append((target.used_at if target else -math.inf, (number, prompt, caller)))
        return [wanted for _, wanted in sorted(cold, key=lambda each: each[0])]

    async def _compute_if_spare(self, number: int, prompt: SystemPrompt, caller: Caller) -> bool:
        """Compute the prompt if the engine has spare capacity. Return True if it was computed without an error."""
        if not self.admission.has_room_to_spare(len(orjson.dumps(prompt.model_dump()))):  # A token has at least one byte.
            return False
        try:
            await self._warm(number, prompt, caller)
        except Exception as error:  # A prompt that fails must not stop the others. Its message is not logged: see `_log_cause`.
            if number not in self._failed:
                self._failed.add(number)
                _log.error("a system prompt could not be computed", prompt=number, error=type(error).__name__)
            return False
        return True

    def _key(self, number: int, prompt: SystemPrompt, caller: Caller) -> _Key:
        """Return the key of this prompt in the prefix cache of the caller. Raises `ModelNotFound`."""
        return number, caller.cache_salt, self.model_registry.resolve(prompt.model or self.model_registry.card.name)

    def _is_cold(self, target: _Target) -> bool:
        return bool(target.expected_tokens) and self._computed_tokens - target.used_at > self._lifetime.tokens / 2

    async def _warm(self, number: int, prompt: SystemPrompt, caller: Caller) -> _Target:
        """Compute a prompt and record the result.

        The first time, this also measures how many tokens a turn will find. Later it only records whether the prompt was cached.
        """
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
        """Run the job with the lowest priority. It is admitted like a turn, so that forecasts include its cost."""
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
    """Return what decides, besides the first message, which tokens a prompt begins with and which prefix cache it uses."""
    return job.cache_salt, job.adapter, job.tool_use and job.tool_use.tools, job.template_kwargs, job.reasoning_effort


def _turn_id() -> str:
    return f"system-prompt-{new_id()}"
