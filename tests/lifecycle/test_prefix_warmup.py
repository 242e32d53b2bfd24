"""Configured system prompts are in the prefix cache before calls come, and again after an eviction."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from service.admission import AdmissionController
from service.domain import Caller, Finished, Message, TenantPolicy, Usage
from service.engine.model_registry import ModelRegistry
from service.engine.scripted.engine import ScriptedEngine
from service.errors import StartError
from service.lifecycle.prefix_warmup import PrefixWarmup
from service.settings import SystemPrompt
from service.telemetry.telemetry import Telemetry
from tests.support.factories import make_job
from tests.support.service_under_test import OTHER_KEY, ScriptedService, scripted_service
from tests.support.virtual_time import now_s, run_in_virtual_time

AGENT = "You are the agent of a bank. " * 40
OTHER_AGENT = "You sell train tickets, and nothing else. " * 40
BATCHING = {"is_batching": True, "step_s": 0.001}


def cached_tokens(service: ScriptedService, system: str, **kwargs: Any) -> int:
    """Return the tokens that a call's first turn finds in the prefix cache."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Good morning."}]
    answer = service.post({**service.body(), "messages": messages}, **kwargs)
    return int(answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"])


def test_a_first_turn_finds_its_system_prompt_in_each_tenants_cache() -> None:
    with scripted_service(engine_args=BATCHING, system_prompts=[{"system": AGENT}]) as running:
        assert cached_tokens(running, AGENT) >= len(AGENT) // 4 - 16
        assert cached_tokens(running, AGENT, headers={"x-api-key": OTHER_KEY}) >= len(AGENT) // 4 - 16
        assert cached_tokens(running, OTHER_AGENT) == 0
        assert running.metric("firstword_system_prompt_warmups_total") == 2


def test_a_longer_system_message_finds_the_part_that_is_configured() -> None:
    with scripted_service(engine_args=BATCHING, system_prompts=[{"system": AGENT}]) as running:
        assert cached_tokens(running, f"{AGENT} It is Tuesday.") >= len(AGENT) // 4 - 16
        assert running.metric("firstword_system_prompt_evictions_total") == 0


def test_a_prompt_may_be_one_tenants_alone() -> None:
    with scripted_service(engine_args=BATCHING, system_prompts=[{"system": AGENT, "tenants": ["other"]}]) as running:
        assert cached_tokens(running, AGENT) == 0
        assert cached_tokens(running, AGENT, headers={"x-api-key": OTHER_KEY}) > 0


def test_tenants_that_share_a_cache_need_it_once() -> None:
    assert len(set(Kit().salts)) == 1
    with_salts = Kit(salts=("a", "b"))
    run_in_virtual_time(with_salts.prefix_warmup.start())
    assert with_salts.warmups() == 4
    together = Kit()
    run_in_virtual_time(together.prefix_warmup.start())
    assert together.warmups() == 2


def test_one_that_no_turn_could_begin_with_stops_the_start() -> None:
    kit = Kit([SystemPrompt(system="word " * 9000)])
    with pytest.raises(StartError, match=r"FIRSTWORD_SYSTEM_PROMPTS: .*prompt 1: .*8192 tokens"):
        run_in_virtual_time(kit.prefix_warmup.start())


def test_one_that_cannot_be_written_as_json_is_refused_with_the_settings() -> None:
    for tools in ([{"function": {True: 1}}], [{"n": 2**70}], [{"name": "\ud800"}]):
        with pytest.raises(ValidationError, match="JSON"):
            SystemPrompt(system="x", tools=tools)


def test_one_for_an_adapter_that_is_not_served_waits_for_it() -> None:
    kit = Kit([SystemPrompt(system=AGENT, model="house-voice"), SystemPrompt(system=OTHER_AGENT)])
    run_in_virtual_time(kit.prefix_warmup.start())
    assert kit.warmups() == 1


class Kit:
    """Prefix warm-up with an engine that has a small cache, in virtual time. It has one prompt for each agent, and runs turns."""

    def __init__(self, prompts: Sequence[SystemPrompt] = (), *, salts: Sequence[str | None] = (None, None)) -> None:
        self.salts = salts
        self.engine = ScriptedEngine("m", {**BATCHING, "step_s": 0.1, "cache_blocks": 100}, clock=now_s)
        self.admission = AdmissionController(max_turns=16, model=self.engine.model, tpot_bound_s=0.25, clock=now_s)
        self.engine.watch_steps(self.admission.observe)
        self.telemetry = Telemetry(ttft_budget_s=1, model="m")
        self.callers = [Caller(tenant, salt) for tenant, salt in zip(("acme", "other"), salts, strict=True)]
        configured = list(prompts) or [SystemPrompt(system=AGENT), SystemPrompt(system=OTHER_AGENT)]
        model_registry = ModelRegistry(self.engine.model)
        self.prefix_warmup = PrefixWarmup(
            self.engine, self.admission, model_registry, self.telemetry, configured, lambda: self.callers
        )
        self.engine.watch_steps(self.prefix_warmup.on_step)

    def warmups(self, result: str = "computed") -> float:
        return self.count("firstword_system_prompt_warmups_total", result=result)

    def evictions(self) -> float:
        return self.count("firstword_system_prompt_evictions_total")

    def count(self, name: str, **labels: str) -> float:
        return self.telemetry.metrics.registry.get_sample_value(name, labels) or 0.0

    async def turn(self, system: str, *, tokens: int = 1) -> Usage:
        """A call's first turn, of the first tenant."""
        messages = (Message("system", system), Message("user", "word " * tokens))
        job = replace(make_job(max_tokens=tokens), messages=messages, cache_salt=self.salts[0])
        with self.admission.enter(job, TenantPolicy(), deadline_s=now_s() + 1000) as slot:
            prepared = await self.engine.prepare(job)
            async with slot.start(prepared):
                async for step in self.engine.generate(prepared):
                    slot.begun()
                    if step and isinstance(end := step[-1], Finished):
                        self.prefix_warmup.used(job, end.usage)
                        return end.usage
        raise AssertionError("it did not finish")


async def fill_the_cache(kit: Kit, numbers: Iterable[int]) -> None:
    """Run other calls, which evict what they do not use. About four of them fill the cache."""
    for number in numbers:
        await kit.turn(f"{number} " + "Something else entirely. " * 80)


def test_what_was_evicted_is_computed_again_and_from_then_on_kept() -> None:
    kit = Kit([SystemPrompt(system=AGENT)])

    async def story() -> None:
        await kit.prefix_warmup.start()
        assert (await kit.turn(AGENT)).cached_tokens > 0
        await fill_the_cache(kit, range(4))
        keeping = asyncio.create_task(kit.prefix_warmup.keep())
        await asyncio.sleep(60)
        assert kit.warmups() + kit.warmups("found") == 1, "nothing is known of an eviction yet"
        assert (await kit.turn(AGENT)).cached_tokens == 0
        assert kit.evictions() == 1
        for number in range(4, 10):  # More than pushes it out, by and by.
            await fill_the_cache(kit, [number])
            await asyncio.sleep(10)
        assert (await kit.turn(AGENT)).cached_tokens > 0
        assert kit.warmups("found") >= 1 and kit.evictions() <= 2  # Half of the first age seen may be too long yet.
        keeping.cancel()

    run_in_virtual_time(story())


def test_a_new_tenants_prompt_is_computed_only_while_there_is_room_to_spare() -> None:
    kit = Kit([SystemPrompt(system=AGENT)], salts=("a", "b"))
    newcomer = kit.callers.pop()

    async def story() -> None:
        await kit.prefix_warmup.start()
        keeping = asyncio.create_task(kit.prefix_warmup.keep())
        kit.callers.append(newcomer)
        busy = [asyncio.create_task(kit.turn(OTHER_AGENT, tokens=300)) for _ in range(10)]
        await asyncio.sleep(20)
        assert kit.admission.running == 10 and kit.warmups() == 1
        await asyncio.gather(*busy)
        await asyncio.sleep(5)
        assert kit.warmups() == 2
        keeping.cancel()

    run_in_virtual_time(story())


def test_with_nothing_configured_nothing_is_computed() -> None:
    with scripted_service(engine_args=BATCHING) as running:
        assert len(running.engine.jobs) == 2, "the warm-up turns"
        assert running.metric("firstword_system_prompt_warmups_total") == 0
