"""Calls offered to a gate and the batching scripted engine, open loop, in virtual time: what becomes of each turn."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from service.admission import AdmissionController
from service.domain import ChatJob, Finished, Message, Sampling, TenantPolicy, TextDelta
from service.engine.scripted.engine import ScriptedEngine
from service.errors import Overloaded
from tests.support.factories import make_job
from tests.support.virtual_time import now_s

CPU_ENGINE = {
    "is_batching": True,
    "step_s": 0.017,
    "turn_step_s": 0.0018,
    "prompt_token_s": 0.0009,
    "max_model_len": 8192,
}
"""Costs as measured on two cores with the embedded model."""
SLOW_CPU_ENGINE = {**CPU_ENGINE, "step_s": 0.04, "turn_step_s": 0.0065, "prompt_token_s": 0.0034}
"""The same on two slower ones: the work of a turn's prompt takes a good part of a second, its budget."""


@dataclass
class Told:
    """What became of one turn. Times in seconds."""

    tenant: str
    number: int
    """Of the turn in its call, from 0."""
    call: int
    arrived_s: float
    ttft_s: float | None = None
    tpot_s: float = 0.0
    refused_after_s: float | None = None

    def is_good(self, ttft_s: float, tpot_s: float) -> bool:
        return self.ttft_s is not None and self.ttft_s <= ttft_s and self.tpot_s <= tpot_s


@dataclass
class Service:
    """A gate before an engine, as the spine puts them together."""

    budget_s: float = 1.0
    tpot_bound_s: float = 0.25
    max_turns: int = 256
    engine_args: dict[str, Any] = field(default_factory=lambda: dict(CPU_ENGINE))
    reported: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = ScriptedEngine("m", self.engine_args, clock=now_s)
        self.admission = AdmissionController(
            max_turns=self.max_turns,
            model=self.engine.model,
            tpot_bound_s=self.tpot_bound_s,
            clock=now_s,
        )
        self.engine.watch_steps(self.admission.observe)

    async def answer(self, job: ChatJob, policy: TenantPolicy | None = None, *, call: int = 0, number: int = 0) -> str | None:
        """The answer's text, or None where the turn is refused."""
        reported = Told(job.tenant, number, call, now_s())
        self.reported.append(reported)
        times: list[float] = []
        words: list[str] = []
        try:
            with self.admission.enter(job, policy or TenantPolicy(), deadline_s=reported.arrived_s + self.budget_s) as slot:
                prepared = await self.engine.prepare(job)
                async with slot.start(prepared), aclosing(self.engine.generate(prepared)) as steps:
                    async for step in steps:
                        slot.begun()
                        times.append(now_s())
                        words += [event.text for event in step if isinstance(event, TextDelta)]
                        if isinstance(end := step[-1], Finished):
                            slot.finished(end.usage)
        except Overloaded:
            reported.refused_after_s = now_s() - reported.arrived_s
            return None
        reported.ttft_s = times[0] - reported.arrived_s
        reported.tpot_s = (times[-1] - times[0]) / max(1, len(times) - 1)
        return "".join(words)


@dataclass(frozen=True)
class Voice:
    """Calls of several turns with one agent: a shared system prompt, a history that grows, pauses in which the caller speaks."""

    turns: int = 5
    system_tokens: int = 1000
    pause_s: tuple[float, float] = (1.0, 4.0)
    completion_tokens: tuple[int, int] = (20, 80)
    agents: int = 3


def words(rng: random.Random, tokens: int) -> str:
    """Each word is a token of the scripted engine's: four characters with the space."""
    return " ".join("".join(rng.choices("abcdefghij", k=3)) for _ in range(tokens))


def one_turn_job(rng: random.Random, number: int, *, tenant: str = "acme", prompt: int = 64, completion: int = 64) -> ChatJob:
    job = make_job(words(rng, prompt), max_tokens=completion, sampling=Sampling(ignore_eos=True))
    return replace(job, turn_id=f"turn-{number}", tenant=tenant)


async def take_call(service: Service, voice: Voice, number: int, seed: int, *, tenant: str = "acme") -> None:
    rng = random.Random(f"{seed}-{number}")
    agent = random.Random(f"agent-{number % voice.agents}")
    messages: tuple[Message, ...] = (Message("system", words(agent, voice.system_tokens)),)
    for turn in range(voice.turns):
        messages += (Message("user", words(rng, rng.randint(10, 40))),)
        job = replace(
            one_turn_job(rng, number, tenant=tenant, completion=rng.randint(*voice.completion_tokens)), messages=messages
        )
        answer = await service.answer(job, call=number, number=turn)
        if answer is None:
            return
        messages += (Message("assistant", answer),)
        await asyncio.sleep(rng.uniform(*voice.pause_s))


def arrivals(rate_per_s: float, duration_s: float, seed: int) -> Iterator[float]:
    """Poisson: the times at which to begin, from 0."""
    rng, at_s = random.Random(seed), 0.0
    while (at_s := at_s + rng.expovariate(rate_per_s)) < duration_s:
        yield at_s


async def offer_turns(service: Service, rate_per_s: float, duration_s: float, *, seed: int = 1, tenant: str = "acme") -> None:
    """Turns that belong to no call: 64 tokens in, 64 out."""
    rng, start_s = random.Random(seed), now_s()
    async with asyncio.TaskGroup() as offered:
        for number, at_s in enumerate(arrivals(rate_per_s, duration_s, seed)):
            await asyncio.sleep(start_s + at_s - now_s())
            offered.create_task(service.answer(one_turn_job(rng, number, tenant=tenant), call=number))


async def offer_calls(service: Service, voice: Voice, calls_per_s: float, duration_s: float, *, seed: int = 1) -> None:
    start_s = now_s()
    async with asyncio.TaskGroup() as offered:
        for number, at_s in enumerate(arrivals(calls_per_s, duration_s, seed)):
            await asyncio.sleep(start_s + at_s - now_s())
            offered.create_task(take_call(service, voice, number, seed))
