"""The whole of admission under load, in virtual time, on an engine that costs what the real one does.

Virtual time makes these exact: the same turns, in the same order, every run. `make bench-overload` measures the real engine.
"""

import asyncio
import random

import pytest

from service.domain import TenantPolicy
from tests.support.offered_load import (
    CPU_ENGINE,
    SLOW_CPU_ENGINE,
    Service,
    Told,
    Voice,
    offer_calls,
    offer_turns,
    one_turn_job,
    take_call,
)
from tests.support.virtual_time import run_in_virtual_time

TTFT_S, TPOT_S = 1.0, 0.25
TURNS_PER_S = 5.0
"""Turns of 64 tokens in and 64 out that this engine can do."""
VOICE_TURNS_PER_S, SLOW_VOICE_TURNS_PER_S = 3.5, 1.5


def share(reported: list[Told], of: list[Told]) -> float:
    return len(reported) / max(1, len(of))


def admitted(reported: list[Told]) -> list[Told]:
    return [turn for turn in reported if turn.ttft_s is not None]


def good(reported: list[Told]) -> list[Told]:
    return [turn for turn in reported if turn.is_good(TTFT_S, TPOT_S)]


async def uniform(rate_per_s: float, made: list[Service]) -> None:
    service = Service()
    made.append(service)
    await offer_turns(service, 0.4 * TURNS_PER_S, 20, seed=9)  # As it learns the engine's pace.
    service.reported.clear()
    await offer_turns(service, rate_per_s, 60)


def test_nothing_is_refused_at_half_of_capacity() -> None:
    made: list[Service] = []
    run_in_virtual_time(uniform(0.5 * TURNS_PER_S, made))
    reported = made[0].reported
    assert len(admitted(reported)) == len(reported) > 100
    assert share(good(reported), reported) == 1.0


@pytest.mark.parametrize("times", [2, 4])
def test_what_is_admitted_under_overload_is_in_time(times: int) -> None:
    made: list[Service] = []
    run_in_virtual_time(uniform(times * TURNS_PER_S, made))
    reported = made[0].reported
    assert share(good(reported), admitted(reported)) >= 0.95
    assert len(good(reported)) / 60 >= 0.9 * TURNS_PER_S  # And it is no less than without overload.
    refused = [turn.refused_after_s for turn in reported if turn.refused_after_s is not None]
    at_once = [after_s for after_s in refused if after_s < 0.05]
    assert share(at_once, refused) >= 0.95  # type: ignore[arg-type]


async def calls(rate_per_s: float, made: list[Service], *, voice: Voice, engine_args: dict[str, float], seed: int = 1) -> None:
    service = Service(engine_args=engine_args)
    made.append(service)
    for number in range(voice.agents):  # Each agent's prompt is warm.
        await take_call(service, voice, number, seed=8)
    await offer_calls(service, voice, 0.1 * rate_per_s, 30, seed=9)
    service.reported.clear()
    await offer_calls(service, voice, rate_per_s / voice.turns, 300, seed=seed)


@pytest.mark.parametrize(
    ("engine_args", "turns_per_s"), [(CPU_ENGINE, VOICE_TURNS_PER_S), (SLOW_CPU_ENGINE, SLOW_VOICE_TURNS_PER_S)]
)
@pytest.mark.parametrize("times", [2, 4])
def test_calls_let_in_under_overload_come_to_their_end(engine_args: dict[str, float], turns_per_s: float, times: int) -> None:
    first, unspoiled = list[Told](), list[Told]()
    for seed in range(1, 4):  # Some callers speak at the same moment: one such moment spoils several calls.
        made: list[Service] = []
        run_in_virtual_time(calls(times * turns_per_s, made, voice=Voice(), engine_args=engine_args, seed=seed))
        reported = made[0].reported
        spoiled = {turn.call for turn in reported if not turn.is_good(TTFT_S, TPOT_S)}
        first += (begun := [turn for turn in admitted(reported) if turn.number == 0])
        unspoiled += [turn for turn in begun if turn.call not in spoiled]
        assert len(begun) > 50
        assert share(good(reported), admitted(reported)) >= 0.95
    assert share(unspoiled, first) >= 0.96


def test_no_call_is_refused_at_half_of_capacity() -> None:
    made: list[Service] = []
    run_in_virtual_time(calls(0.5 * SLOW_VOICE_TURNS_PER_S, made, voice=Voice(), engine_args=SLOW_CPU_ENGINE))
    reported = made[0].reported
    assert len(admitted(reported)) == len(reported) > 100


def test_a_flooding_tenant_takes_its_share_and_no_more() -> None:
    service: list[Service] = []

    async def story() -> None:
        service.append(Service())
        await offer_turns(service[0], 2.0, 20, seed=9)
        service[0].reported.clear()
        async with asyncio.TaskGroup() as tenants:
            tenants.create_task(offer_turns(service[0], 5 * TURNS_PER_S, 60, seed=3, tenant="flood"))
            tenants.create_task(offer_turns(service[0], 0.5 * TURNS_PER_S, 60, seed=4, tenant="quiet"))

    run_in_virtual_time(story())
    quiet = [turn for turn in service[0].reported if turn.tenant == "quiet"]
    assert len(quiet) > 100
    assert share(good(quiet), quiet) >= 0.95


def test_a_higher_priority_is_served_first() -> None:
    service: list[Service] = []

    async def one(number: int, tenant: str, priority: int) -> None:
        job = one_turn_job(random.Random(number), number, tenant=tenant)
        await service[0].answer(job, TenantPolicy(priority=priority))

    async def story() -> None:
        service.append(Service(budget_s=60))
        await offer_turns(service[0], 2.0, 20, seed=9)
        service[0].reported.clear()
        async with asyncio.TaskGroup() as turns:
            for number in range(150):
                turns.create_task(one(number, "low", 0))
            await asyncio.sleep(0.5)
            turns.create_task(one(1000, "high", 1))

    run_in_virtual_time(story())
    high = next(turn.ttft_s for turn in service[0].reported if turn.tenant == "high")
    waited = [turn.ttft_s for turn in service[0].reported if turn.tenant == "low" and turn.ttft_s is not None]
    assert high is not None
    assert len(waited) == 150
    assert sum(ttft_s > high for ttft_s in waited) > 75


@pytest.mark.parametrize(
    ("turns", "engine_args"), [(16, None), (64, {"step_s": 0.01, "turn_step_s": 0.0001, "prompt_token_s": 0.00001})]
)
def test_a_burst_at_an_idle_service_is_all_served(turns: int, engine_args: dict[str, float] | None) -> None:
    service: list[Service] = []

    async def story() -> None:
        made = Service(budget_s=5.0)
        service.append(made)
        if engine_args:
            made.engine_args |= engine_args
            made.__post_init__()
        await offer_turns(made, 1.0, 5, seed=9)
        made.reported.clear()
        rng = random.Random(1)
        async with asyncio.TaskGroup() as burst:
            for number in range(turns):
                burst.create_task(made.answer(one_turn_job(rng, number)))

    run_in_virtual_time(story())
    assert len(admitted(service[0].reported)) == turns
