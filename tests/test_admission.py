"""The gate: who gets a place, and that every place comes back."""

import asyncio
from contextlib import ExitStack

import pytest

from service.admission import Gate
from service.errors import Overloaded, PromptTooLong
from tests.factories import make_card, make_job, make_turn


def make_gate(max_turns: int = 2) -> Gate:
    return Gate(max_turns=max_turns, model=make_card(max_model_len=100, max_chars_per_token=4))


def test_one_turn_more_than_the_limit_is_refused() -> None:
    gate = make_gate(max_turns=2)
    with gate.enter(make_job()), gate.enter(make_job()):
        with pytest.raises(Overloaded) as caught, gate.enter(make_job()):
            pytest.fail("there was no room")
        assert gate.entered == 2
    assert (caught.value.status, caught.value.code) == (503, "overloaded")
    assert "2 turns" in caught.value.message
    assert caught.value.headers["Retry-After"].isdecimal()
    with gate.enter(make_job()):
        assert gate.entered == 1


def test_a_started_turn_still_takes_its_place() -> None:
    gate = make_gate(max_turns=1)
    job = make_job()
    with gate.enter(job) as place, place.start(make_turn(job)), pytest.raises(Overloaded), gate.enter(job):
        pytest.fail("there was no room")


def test_a_turn_waits_until_it_starts_and_then_runs() -> None:
    gate, job = make_gate(), make_job()

    def counts() -> tuple[int, int, int]:
        return gate.entered, gate.waiting, gate.running

    assert counts() == (0, 0, 0)
    with gate.enter(job) as place:
        assert counts() == (1, 1, 0)
        with gate.enter(job):
            assert counts() == (2, 2, 0)
            with place.start(make_turn(job)):
                assert counts() == (2, 1, 1)
        assert counts() == (1, 1, 0)
    assert counts() == (0, 0, 0)


@pytest.mark.parametrize("is_started", [False, True])
def test_a_place_comes_back_when_the_turn_fails(is_started: bool) -> None:
    gate, job = make_gate(), make_job()
    with pytest.raises(ZeroDivisionError), ExitStack() as stack:
        place = stack.enter_context(gate.enter(job))
        if is_started:
            stack.enter_context(place.start(make_turn(job)))
        _ = 1 / 0
    assert (gate.entered, gate.waiting, gate.running) == (0, 0, 0)


@pytest.mark.parametrize("is_started", [False, True])
def test_a_place_comes_back_when_the_turn_is_cancelled(is_started: bool) -> None:
    gate, job = make_gate(), make_job()

    async def turn() -> None:
        with gate.enter(job) as place:
            if is_started:
                with place.start(make_turn(job)):
                    await asyncio.Event().wait()
            await asyncio.Event().wait()

    async def hang_up() -> None:
        task = asyncio.create_task(turn())
        await asyncio.sleep(0)
        assert (gate.entered, gate.running) == (1, int(is_started))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(hang_up())
    assert (gate.entered, gate.waiting, gate.running) == (0, 0, 0)


@pytest.mark.parametrize(("chars", "least_tokens"), [(401, 101), (404, 101), (405, 102), (1_000_000, 250_000)])
def test_a_prompt_that_cannot_fit_is_refused_with_its_least_length(chars: int, least_tokens: int) -> None:
    gate = make_gate()
    with pytest.raises(PromptTooLong, match=rf"holds 100 tokens.*at least {least_tokens} tokens") as caught:
        gate.enter(make_job("x" * chars)).__enter__()
    assert (caught.value.param, caught.value.code) == ("messages", "context_length_exceeded")
    assert gate.entered == 0


@pytest.mark.parametrize("chars", [0, 1, 400])
def test_a_prompt_that_may_fit_gets_a_place(chars: int) -> None:
    gate = make_gate()
    with gate.enter(make_job("x" * chars)):
        assert gate.entered == 1


def test_a_prompt_that_cannot_fit_is_told_so_also_when_full() -> None:
    gate = make_gate(max_turns=1)
    with gate.enter(make_job()), pytest.raises(PromptTooLong), gate.enter(make_job("x" * 1000)):
        pytest.fail("it cannot fit")


def test_until_empty_returns_at_once_in_an_empty_room() -> None:
    asyncio.run(asyncio.wait_for(make_gate().until_empty(), timeout=1))


def test_until_empty_waits_for_the_last_turn() -> None:
    async def drain() -> None:
        gate = make_gate()
        with gate.enter(make_job()):
            with gate.enter(make_job()):
                waiting = asyncio.create_task(gate.until_empty())
                await asyncio.sleep(0.01)
                assert not waiting.done()
            await asyncio.sleep(0.01)
            assert not waiting.done()
        await asyncio.wait_for(waiting, timeout=1)

    asyncio.run(drain())


def test_a_refused_turn_leaves_an_empty_room_empty() -> None:
    gate = make_gate()
    with pytest.raises(PromptTooLong), gate.enter(make_job("x" * 1000)):
        pytest.fail("it cannot fit")
    asyncio.run(asyncio.wait_for(gate.until_empty(), timeout=1))
