"""The bench's own loops against a service whose every step is scripted: what it measures is what was scripted."""

import asyncio
import itertools
from itertools import cycle, islice
from typing import Any

import pytest

from loadtest.overload.client import Answer, ask
from loadtest.overload.loops import Window, closed_loop, open_loop
from loadtest.overload.measures import Bounds, measure, throughput
from loadtest.overload.workloads import TURNS_PER_CALL, Turn, Uniform, Voice, poisson
from service.engine.scripted.engine import Reply
from tests.loadtest.calls import TEXTS, endpoint_of
from tests.support.service_under_test import ScriptedService, scripted_service, until

pytestmark = pytest.mark.alone
UNIFORM = Uniform(TEXTS, seed=1)
BOUNDS = Bounds()
WORDS = 64 - TEXTS.overhead
"""Of a uniform prompt; the scripted engine says them back, a step each."""


def test_arrivals_are_the_same_for_the_same_seed_and_come_at_their_rate() -> None:
    first, again, other = (list(itertools.islice(poisson(5, seed), 4000)) for seed in ("a", "a", "b"))
    assert first == again != other
    assert 4000 / first[-1] == pytest.approx(5, rel=0.1)


def test_measures_are_what_was_scripted() -> None:
    with scripted_service(engine_args={"prefill_s": 0.2, "step_s": 0.02}) as service:
        recording = asyncio.run(open_loop(endpoint_of(service), UNIFORM, calls_per_s=8, seed="s", window=Window(0.5, 2, 5)))
        cell = measure(recording, 8, BOUNDS)
        assert (
            cell.turns == cell.finished == sum(0.5 <= at < 2.5 for at in itertools.takewhile(lambda at: at < 3, poisson(8, "s")))
        )
        assert cell.goodput == cell.sent == cell.turns / 2
        assert cell.admitted_within == cell.within_ttft == cell.calls_finished == 1
        assert cell.ttft_p50 == pytest.approx(0.2, abs=0.05)
        assert cell.tpot_p50 == pytest.approx(0.02, abs=0.01)
        until(lambda: service.engine.running == 0)  # What arrived after the window was cut with it.


@pytest.mark.parametrize(
    ("engine_args", "within_ttft"),
    [({"prefill_s": 0.5}, 0), ({"step_s": 0.1}, 1)],
    ids=["late first word", "slow after it"],
)
def test_a_turn_out_of_bounds_is_not_goodput(engine_args: dict[str, Any], within_ttft: float) -> None:
    with scripted_service(engine_args=engine_args) as service:
        recording = asyncio.run(open_loop(endpoint_of(service), UNIFORM, calls_per_s=4, seed="s", window=Window(0, 1, 10)))
        cell = measure(recording, 4, Bounds(ttft_s=0.3, tpot_s=0.05))
        assert (cell.finished, cell.goodput, cell.admitted_within) == (cell.turns, 0, 0)
        assert cell.within_ttft == within_ttft


def test_refusals_are_counted_apart_and_their_time_too() -> None:
    with scripted_service(max_turns=1) as service:
        service.engine.enqueue(Reply(steps=("…",), prefill_s=30))
        recording = asyncio.run(open_loop(endpoint_of(service), UNIFORM, calls_per_s=8, seed="s", window=Window(0, 1, 0.5)))
        cell = measure(recording, 8, BOUNDS)
        assert (cell.cut, cell.refused, cell.failed) == (1, cell.turns - 1, 0)
        assert cell.refusal_p99 is not None and cell.refusal_p99 < 0.5
        assert cell.ttft_p99 is not None and cell.ttft_p99 > 0.5, "a turn cut while it waits counts by what it had waited"
        assert cell.admitted_within == 0
        assert cell.calls_admitted == 1


def test_closed_loop_finds_the_throughput() -> None:
    with scripted_service(engine_args={"prefill_s": 0.1}) as service:
        recording = asyncio.run(closed_loop(endpoint_of(service), UNIFORM, at_once=4, seed="s", window=Window(0.2, 2, 0)))
        assert throughput(recording) == pytest.approx(4 / 0.1, rel=0.3)


def take_all(service: ScriptedService, call: str) -> list[tuple[Turn, dict[str, Any]]]:
    """One call, without its pauses; its turns and what was sent."""
    taken = []

    async def take(turn: Turn, body: dict[str, Any]) -> None:
        taken.append((turn, body))
        await ask(endpoint_of(service), {"model": service.model, **body}, turn.answer, drop_after=turn.drop_after)

    asyncio.run(Voice(TEXTS, seed=1).call(call, 0.0, take))
    return taken


def test_a_call_has_five_turns_and_the_answers_are_its_history() -> None:
    with scripted_service() as service:
        taken = take_all(service, "a call")
        bodies = [body for _, body in taken]
        assert [turn.position for turn, _ in taken] == list(range(TURNS_PER_CALL))
        assert [turn.is_last for turn, _ in taken] == [False] * 4 + [True]
        assert bodies[1]["messages"][:2] == bodies[0]["messages"]
        # With ignore_eos the scripted engine says the last words over and over, up to max_tokens.
        said_back = list(islice(cycle(bodies[0]["messages"][-1]["content"].split()), bodies[0]["max_tokens"]))
        assert bodies[1]["messages"][2]["content"].split() == said_back[: taken[0][0].drop_after]


def test_a_refused_turn_ends_its_call() -> None:
    with scripted_service(max_turns=1) as service:
        service.engine.enqueue(Reply(steps=("…",), prefill_s=30))

        async def with_the_room_taken() -> None:
            holding = asyncio.create_task(ask(endpoint_of(service), _long_turn(service), Answer()))
            while not service.engine.running:
                await asyncio.sleep(0.01)
            taken = await asyncio.to_thread(take_all, service, "a call")
            holding.cancel()
            assert [turn.answer.outcome for turn, _ in taken] == ["refused"]

        asyncio.run(with_the_room_taken())


def test_a_barge_in_drops_the_stream() -> None:
    with scripted_service(engine_args={"step_s": 0.02}) as service:
        answer = Answer()
        asyncio.run(ask(endpoint_of(service), _long_turn(service), answer, drop_after=3))
        until(lambda: service.engine.aborted == 1)
        assert (answer.outcome, answer.tokens) == ("dropped", 3)


def test_a_stream_that_breaks_is_a_failure_not_a_refusal() -> None:
    with scripted_service() as service:
        service.engine.enqueue(Reply(steps=("word",) * 9, fail_after=3))
        answer = Answer()
        asyncio.run(ask(endpoint_of(service), _long_turn(service), answer))
        assert (answer.outcome, answer.failure) == ("failed", "error event")


def _long_turn(service: ScriptedService) -> dict[str, Any]:
    return service.body("word " * 100, stream=True, max_tokens=100)
