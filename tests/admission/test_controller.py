"""The gate: who gets a place, how long anybody waits, and that every place comes back."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from service.admission import AdmissionController
from service.domain import ChatJob, EngineStep, Message, TenantPolicy
from service.errors import Overloaded, PromptTooLong
from tests.support.factories import make_card, make_job, make_turn
from tests.support.virtual_time import now_s, run_in_virtual_time

LONG_S = 1e9


def make_gate(max_turns: int = 2, **more: Any) -> AdmissionController:
    card = make_card(max_model_len=100, max_chars_per_token=4)
    return AdmissionController(max_turns=max_turns, model=card, tpot_bound_s=0.25, **more)


def enter(admission: AdmissionController, job: ChatJob | None = None, *, deadline_s: float = LONG_S, **policy: Any) -> Any:
    return admission.enter(job or make_job(), TenantPolicy(**policy), deadline_s=deadline_s)


def slow_admission(turns: int = 1, *, rise_s: float = 1.0) -> AdmissionController:
    """One that has seen an engine of which so many turns at once keep to the bound, at 0.15 s a step; each more adds to it."""
    admission = make_gate(max_turns=100, clock=now_s)
    at_s = now_s()
    admission.pace.enter(at_s)
    for running in (turns, turns + 1):
        for _ in range(30):
            at_s += 0.15 + rise_s * (running - turns)
            admission.observe(EngineStep(at_s, 0, running, running=running, waiting=0, kv_usage=0.0))
    admission.pace.leave()
    assert admission.forecast.most_turns == turns
    return admission


def computing_gate() -> AdmissionController:
    """One that has seen an engine with steps of 0.1 s, and 0.01 s more for each prompt token."""
    admission = make_gate(max_turns=100, clock=now_s)
    at_s = now_s()
    admission.pace.enter(at_s)
    for prefilled in [0] * 10 + [50] * 30 + [0] * 300:
        at_s += 0.1 + 0.01 * prefilled
        admission.observe(EngineStep(at_s, prefilled, 2, running=2, waiting=0, kv_usage=0.0))
    admission.pace.leave()
    return admission


async def turn(
    admission: AdmissionController,
    job: ChatJob | None = None,
    *,
    until: asyncio.Event,
    reported: list[str],
    name: str = "",
    tokens: int = 1,
    **more: Any,
) -> None:
    with enter(admission, job, **more) as slot:
        async with slot.start(replace(make_turn(slot.asked.job), prompt_tokens=tokens)):
            reported.append(name)
            await until.wait()


def in_virtual_time(story: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        run_in_virtual_time(story())

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return test


def test_one_turn_more_than_the_limit_is_refused() -> None:
    admission = make_gate(max_turns=2)
    with enter(admission), enter(admission):
        with pytest.raises(Overloaded) as caught, enter(admission):
            pytest.fail("there was no room")
        assert admission.entered == 2
    assert (caught.value.status, caught.value.code) == (503, "overloaded")
    assert "2 turns" in caught.value.message
    assert caught.value.headers["Retry-After"].isdecimal()
    with enter(admission):
        assert admission.entered == 1


def test_a_turn_waits_until_it_starts_and_then_runs() -> None:
    admission = make_gate()

    def counts() -> tuple[int, int, int]:
        return admission.entered, admission.waiting, admission.running

    async def story() -> None:
        assert counts() == (0, 0, 0)
        with enter(admission) as slot:
            assert counts() == (1, 1, 0)
            with enter(admission):
                async with slot.start(make_turn(make_job())):
                    assert counts() == (2, 1, 1)
            assert counts() == (1, 1, 0)
        assert counts() == (0, 0, 0)

    asyncio.run(story())


@in_virtual_time
async def test_a_long_prompt_goes_in_once_the_one_before_is_under_way() -> None:
    admission, reported, until = computing_gate(), list[str](), asyncio.Event()
    assert not admission.forecast.fits_in_step(50)
    job = make_job("x" * 200)  # Some 50 tokens.
    turns = [
        asyncio.create_task(turn(admission, job, until=until, reported=reported, name=str(number), tokens=50))
        for number in range(3)
    ]

    async def step() -> None:
        admission.observe(EngineStep(now_s(), 0, 1, running=1, waiting=0, kv_usage=0.0))
        await asyncio.sleep(0.01)

    await asyncio.sleep(0.01)
    assert reported == ["0"]
    await step()
    assert reported == ["0", "1"]
    turns[1].cancel()  # The next step has room again.
    await asyncio.sleep(0.01)
    assert reported == ["0", "1", "2"]
    until.set()
    await asyncio.wait(turns)


async def all_go_with_a_step(
    admission: AdmissionController, turns: list[asyncio.Task[None]], *, until: asyncio.Event, reported: list[str]
) -> None:
    admission.observe(EngineStep(now_s(), 0, 1, running=1, waiting=0, kv_usage=0.0))
    await asyncio.sleep(0.01)
    assert reported == ["0", "1"]
    until.set()
    await asyncio.wait(turns)


@pytest.mark.parametrize(("left_s", "told_at_once"), [(1.0, ["0", "1"]), (0.4, ["0"])])
def test_a_prompt_joins_the_next_step_where_those_in_it_stay_in_time(left_s: float, told_at_once: list[str]) -> None:
    async def story() -> None:
        admission, reported, until = computing_gate(), list[str](), asyncio.Event()

        def come(name: str, tokens: int, **more: Any) -> asyncio.Task[None]:
            job = make_job("x" * 4 * tokens)
            return asyncio.create_task(turn(admission, job, until=until, reported=reported, name=name, tokens=tokens, **more))

        turns = [come("0", 10, deadline_s=now_s() + left_s), come("1", 20)]
        assert admission.forecast.fits_in_step(10 + 20)
        await asyncio.sleep(0.01)
        assert reported == told_at_once
        await all_go_with_a_step(admission, turns, until=until, reported=reported)

    run_in_virtual_time(story())


@pytest.mark.parametrize(("left_s", "told_at_once"), [(2.0, ["0"]), (0.85, ["0", "1"])])
def test_a_prompt_too_long_for_the_step_joins_where_the_step_after_is_too_late(left_s: float, told_at_once: list[str]) -> None:
    async def story() -> None:
        admission, reported, until = computing_gate(), list[str](), asyncio.Event()
        assert not admission.forecast.fits_in_step(30 + 30)
        asked = Message("user", "x" * 40), Message("assistant", "x" * 40), Message("user", "x" * 40)
        job = replace(make_job(), messages=asked)  # Some 30 tokens; it continues a call.
        more: dict[str, Any] = {"until": until, "reported": reported, "tokens": 30}
        turns = [asyncio.create_task(turn(admission, job, name="0", deadline_s=now_s() + 5, **more))]
        turns += [asyncio.create_task(turn(admission, job, name="1", deadline_s=now_s() + left_s, **more))]
        await asyncio.sleep(0.01)
        assert reported == told_at_once
        await all_go_with_a_step(admission, turns, until=until, reported=reported)

    run_in_virtual_time(story())


@pytest.mark.parametrize("is_started", [False, True])
def test_a_place_comes_back_when_the_turn_fails(is_started: bool) -> None:
    admission = make_gate()

    async def story() -> None:
        with enter(admission) as slot:
            if is_started:
                async with slot.start(make_turn(make_job())):
                    _ = 1 / 0
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        asyncio.run(story())
    assert (admission.entered, admission.waiting, admission.running) == (0, 0, 0)


@in_virtual_time
async def test_a_place_comes_back_wherever_the_caller_hangs_up() -> None:
    admission, reported, until = slow_admission(turns=1), list[str](), asyncio.Event()
    running = asyncio.create_task(turn(admission, until=until, reported=reported, name="running"))
    waiting = asyncio.create_task(turn(admission, until=until, reported=reported, name="waiting"))
    await asyncio.sleep(1)
    assert (admission.entered, admission.waiting, admission.running) == (2, 1, 1)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (admission.entered, admission.waiting, admission.running) == (1, 0, 1)
    running.cancel()
    await asyncio.wait([running])
    assert (admission.entered, admission.waiting, admission.running) == (0, 0, 0)
    assert reported == ["running"]


@in_virtual_time
async def test_who_hangs_up_as_it_is_let_in_leaves_no_place_behind() -> None:
    admission, reported, until = slow_admission(turns=1), list[str](), asyncio.Event()
    running = asyncio.create_task(turn(admission, until=until, reported=reported))
    waiting = asyncio.create_task(turn(admission, until=until, reported=reported))
    await asyncio.sleep(1)
    running.cancel()
    await asyncio.wait([running])  # The one that waits is let in, and does not know it yet.
    waiting.cancel()
    await asyncio.wait([waiting])
    assert (admission.entered, admission.waiting, admission.running) == (0, 0, 0)


@in_virtual_time
async def test_one_that_waits_runs_as_soon_as_another_ends() -> None:
    admission, reported = slow_admission(turns=1), list[str]()
    first, second = asyncio.Event(), asyncio.Event()
    tasks = [
        asyncio.create_task(turn(admission, until=until, reported=reported, name=name))
        for name, until in (("a", first), ("b", second))
    ]
    await asyncio.sleep(1)
    assert reported == ["a"]
    first.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert reported == ["a", "b"]
    second.set()
    await asyncio.gather(*tasks)


@in_virtual_time
async def test_a_waiting_turn_is_refused_the_moment_its_budget_cannot_be_met() -> None:
    admission, reported, until = slow_admission(turns=1), list[str](), asyncio.Event()
    running = asyncio.create_task(turn(admission, until=until, reported=reported))
    await asyncio.sleep(1)
    begun_s = now_s()
    with enter(admission, make_job(max_tokens=1), deadline_s=begun_s + 3.0) as slot:
        with pytest.raises(Overloaded) as caught:
            async with slot.start(make_turn(make_job())):
                pytest.fail("it must not start")
        assert 0.0 < now_s() - begun_s < 2.0  # Not when the budget is over: when the first token would come after it.
    assert caught.value.headers["x-firstword-refused"] == "capacity"
    assert caught.value.reason == "expired"
    until.set()
    await running


@in_virtual_time
async def test_what_could_not_come_in_time_is_refused_at_once() -> None:
    admission, reported, until = slow_admission(turns=1), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(turn(admission, until=until, reported=reported)) for _ in range(3)]
    await asyncio.sleep(1)
    with pytest.raises(Overloaded) as caught:
        enter(admission, deadline_s=now_s() + 1.0).__enter__()
    assert int(caught.value.headers["Retry-After"]) > 1  # The backlog of several turns, not a constant.
    assert admission.entered == 3
    until.set()
    await asyncio.gather(*tasks)


@in_virtual_time
async def test_an_empty_engine_never_refuses_on_a_forecast() -> None:
    admission = slow_admission(turns=1)
    with enter(admission, deadline_s=now_s() + 0.001) as slot:
        async with slot.start(make_turn(make_job())):
            assert admission.running == 1


async def who_goes_beside_two(admission: AdmissionController, *, tenant: str) -> list[str]:
    """Two first turns run, a third is held back, and then one comes, of this tenant, that continues a call."""
    reported, until = list[str](), asyncio.Event()
    history = (Message("user", "Hello"), Message("assistant", "Hello!"), Message("user", "Who is it?"))
    continued = replace(make_job(), messages=history, tenant=tenant)
    jobs = {"a": make_job(), "b": make_job(), "held back": make_job(), "continued": continued}
    tasks = [asyncio.create_task(turn(admission, job, until=until, reported=reported, name=name)) for name, job in jobs.items()]
    await asyncio.sleep(0.1)
    gone = list(reported)
    until.set()
    await asyncio.gather(*tasks)
    return gone


@in_virtual_time
async def test_a_turn_that_continues_a_call_may_use_what_is_kept_from_first_ones() -> None:
    admission = slow_admission(turns=2, rise_s=0.08)
    assert (admission.forecast.most_turns, admission.forecast.most_turns_owed) == (2, 3)
    assert await who_goes_beside_two(admission, tenant="acme") == ["a", "b", "continued"]


@in_virtual_time
async def test_one_that_is_owed_a_place_passes_another_tenants_first_turn_that_is_held_back() -> None:
    assert await who_goes_beside_two(slow_admission(turns=2, rise_s=0.08), tenant="other") == ["a", "b", "continued"]


@in_virtual_time
async def test_a_turn_whose_time_is_up_may_use_what_is_kept() -> None:
    admission, reported, until = slow_admission(turns=2, rise_s=0.08), list[str](), asyncio.Event()
    names = ["a", "b", "in the last moment", "refused"]
    begun_s = now_s()
    tasks = [
        asyncio.create_task(turn(admission, until=until, reported=reported, name=name, deadline_s=begun_s + 60 + slot))
        for slot, name in enumerate(names)
    ]
    await asyncio.sleep(50)
    assert reported == names[:2]
    await asyncio.sleep(20)
    assert reported == names[:3]
    assert isinstance(tasks[3].exception(), Overloaded)
    until.set()
    await asyncio.gather(*tasks[:3])


@in_virtual_time
async def test_rendering_that_takes_all_of_the_budget_is_refused_but_for_a_turn_that_is_alone() -> None:
    admission = slow_admission(turns=2)
    with enter(admission, deadline_s=now_s() + 1.0) as alone:
        async with alone.in_time():
            await asyncio.sleep(2)
        with enter(admission, deadline_s=now_s() + 1.0) as slot:
            with pytest.raises(Overloaded):
                async with slot.in_time():
                    await asyncio.sleep(2)
            assert now_s() == pytest.approx(slot.deadline_s)


@in_virtual_time
async def test_what_we_do_of_our_own_accord_makes_nobody_be_refused() -> None:
    admission = slow_admission(turns=1)
    with admission.enter_behind_all(make_job()) as own:
        async with own.start(make_turn(make_job())):
            with enter(admission, deadline_s=now_s() + 0.001) as slot:
                assert slot.forecast is not None
            assert admission.entered == 1
    assert (admission.entered, admission.running) == (0, 0)


@in_virtual_time
async def test_what_most_likely_cannot_fit_is_not_told_to_go_elsewhere() -> None:
    admission, reported, until = slow_admission(turns=1), list[str](), asyncio.Event()
    running = asyncio.create_task(turn(admission, until=until, reported=reported))
    await asyncio.sleep(1)
    for _ in range(50):  # Each byte of this tenant's is a token.
        admission.estimator.exact(admission.estimator.look_at(make_job("x" * 50)), 50)
        admission.estimator.exact(admission.estimator.look_at(make_job("x" * 5000)), 5000)
    with enter(admission, make_job("x" * 350), deadline_s=now_s() + 0.1):
        pass  # Its tokens will be counted, and then it is a 400.
    until.set()
    await running


@in_virtual_time
async def test_choices_count_as_turns() -> None:
    admission, reported, until = slow_admission(turns=3), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(turn(admission, make_job(n=2), until=until, reported=reported)) for _ in range(2)]
    await asyncio.sleep(1)
    assert admission.running == 1
    until.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(("chars", "least_tokens"), [(401, 101), (404, 101), (405, 102), (1_000_000, 250_000)])
def test_a_prompt_that_cannot_fit_is_refused_with_its_least_length(chars: int, least_tokens: int) -> None:
    admission = make_gate()
    with pytest.raises(PromptTooLong, match=rf"100 tokens.*at least {least_tokens} tokens") as caught:
        enter(admission, make_job("x" * chars)).__enter__()
    assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")
    assert admission.entered == 0


@pytest.mark.parametrize("chars", [0, 1, 400])
def test_a_prompt_that_may_fit_gets_a_place(chars: int) -> None:
    admission = make_gate()
    with enter(admission, make_job("x" * chars)):
        assert admission.entered == 1


def test_a_prompt_that_cannot_fit_is_told_so_also_when_full() -> None:
    admission = make_gate(max_turns=1)
    with enter(admission), pytest.raises(PromptTooLong), enter(admission, make_job("x" * 1000)):
        pytest.fail("it cannot fit")


def test_until_empty_returns_at_once_in_an_empty_room() -> None:
    asyncio.run(asyncio.wait_for(make_gate().until_empty(), timeout=1))


def test_until_empty_waits_for_the_last_turn() -> None:
    async def drain() -> None:
        admission = make_gate()
        with ExitStack() as turns:
            turns.enter_context(enter(admission))
            with enter(admission):
                waiting = asyncio.create_task(admission.until_empty())
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
            assert not waiting.done()
        await asyncio.wait_for(waiting, timeout=1)

    asyncio.run(drain())


def test_the_forecast_is_compared_with_what_it_took() -> None:
    admission = make_gate()

    async def story() -> float:
        with enter(admission) as slot:
            async with slot.start(make_turn(make_job())):
                await asyncio.sleep(0.05)
                slot.begun()
        return float(slot.forecast_error_s)

    assert asyncio.run(story()) == pytest.approx(-0.05, abs=0.03)
