"""Hangs and slow steps that are not hangs. The watchdog runs on its own thread, with a real event loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from service.admission import Load
from service.admission.estimate import Cost
from service.admission.room import Waiter
from service.domain import EngineStep, TenantPolicy
from service.server.watchdog import LongestPrefill, Stall, Watchdog
from tests.support.service_under_test import until

STALL_S = 0.2
LONGER_S = STALL_S * 4


class Watched:
    """An engine as a watchdog sees it, and the loop it steps on."""

    def __init__(self, expected_step_s: Callable[[], float] = lambda: 0.0) -> None:
        self.unfinished = 0
        self.stalls: list[Stall] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.watchdog = Watchdog(
            stall_s=STALL_S,
            unfinished=lambda: self.unfinished,
            expected_step_s=expected_step_s,
            on_stall=self.stalls.append,
        )
        self.watchdog.start(self.loop)

    def step(self) -> None:
        self.loop.call_soon_threadsafe(self.watchdog.on_step, a_step())

    def close(self) -> None:
        self.watchdog.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def a_step(*, at_s: float = 0.0, prefilled: int = 0, running: int = 1, waiting: int = 0) -> EngineStep:
    return EngineStep(at_s=at_s, prefilled_tokens=prefilled, generated_tokens=1, running=running, waiting=waiting, kv_usage=0.0)


@pytest.fixture
def watched() -> Iterator[Watched]:
    engine = Watched()
    yield engine
    engine.close()


def test_unfinished_work_without_output_is_a_hang(watched: Watched) -> None:
    watched.step()
    watched.unfinished = 3
    until(lambda: bool(watched.stalls))
    (stall,) = watched.stalls
    assert stall.what == "engine"
    assert stall.silent_s > STALL_S
    assert stall.last_step == a_step()


def test_an_idle_engine_is_no_hang(watched: Watched) -> None:
    time.sleep(LONGER_S)
    assert not watched.stalls


def test_an_engine_that_steps_is_no_hang(watched: Watched) -> None:
    watched.unfinished = 1
    for _ in range(20):
        time.sleep(LONGER_S / 20)
        watched.step()
    assert not watched.stalls


def test_silence_counts_from_when_there_is_work(watched: Watched) -> None:
    time.sleep(LONGER_S)
    watched.unfinished = 1
    time.sleep(STALL_S / 4)
    watched.unfinished = 0
    time.sleep(STALL_S)
    assert not watched.stalls


def test_a_long_step_that_was_to_be_expected_is_no_hang_until_it_takes_longer() -> None:
    engine = Watched(expected_step_s=lambda: LONGER_S)
    engine.unfinished = 1
    time.sleep(LONGER_S)
    assert not engine.stalls
    until(lambda: bool(engine.stalls))
    assert engine.stalls[0].allowed_s == pytest.approx(STALL_S + LONGER_S)
    engine.close()


def test_a_blocked_event_loop_is_a_hang_of_its_own(watched: Watched) -> None:
    watched.unfinished = 1
    watched.loop.call_soon_threadsafe(time.sleep, LONGER_S)
    until(lambda: bool(watched.stalls))
    assert watched.stalls[0].what == "event loop"


def test_the_longest_prefill_is_the_whole_context_at_half_of_the_slowest_pace_measured() -> None:
    load = Load()
    load.add(a_waiter())
    longest = LongestPrefill(load, max_model_len=1000)
    assert longest.expected_step_s() == 0
    longest.on_step(a_step(at_s=1.0, running=0))
    longest.on_step(a_step(at_s=9.0, prefilled=500))  # After an idle time: how long it took is unknown.
    assert longest.expected_step_s() == 0
    longest.on_step(a_step(at_s=10.0, prefilled=500))
    longest.on_step(a_step(at_s=10.5, prefilled=500))
    longest.on_step(a_step(at_s=11.0, prefilled=1))  # Most of this one is not prefill.
    assert longest.expected_step_s() == pytest.approx(4.0)


def a_waiter() -> Waiter:
    return Waiter("acme", TenantPolicy(), False, Cost(900, 900, 10), 1.0, slots=1)


def measured(load: Load) -> LongestPrefill:
    """One that has seen a prefill of 0.001 s a token: 2 s are expected for the whole context."""
    longest = LongestPrefill(load, max_model_len=1000)
    longest.on_step(a_step(at_s=0.5))
    longest.on_step(a_step(at_s=1.0, prefilled=500))
    return longest


def test_nothing_is_expected_where_no_prompt_is_to_be_computed() -> None:
    load, one, other = Load(), a_waiter(), a_waiter()
    longest = measured(load)
    assert longest.expected_step_s() == 0
    load.add(one)
    assert longest.expected_step_s() == pytest.approx(2)
    load.begun(one)
    longest.on_step(a_step(at_s=1.5))
    assert longest.expected_step_s() == 0
    load.add(other)
    load.remove(other, has_begun=False)  # Given up, and perhaps already in a step.
    assert longest.expected_step_s() == pytest.approx(2)
    longest.on_step(a_step(at_s=2.0))
    assert longest.expected_step_s() == 0


def test_a_turn_that_the_engine_threw_out_is_computed_again() -> None:
    longest = measured(Load())
    longest.on_step(a_step(at_s=2.0, waiting=1))
    longest.on_step(a_step(at_s=2.5))
    assert longest.expected_step_s() == pytest.approx(2), "in pieces, after it has waited"
    for number in range(40):
        longest.on_step(a_step(at_s=3.0 + number / 2))
    assert longest.expected_step_s() == 0


def test_callers_who_give_up_on_a_hung_engine_do_not_hide_it(watched: Watched) -> None:
    watched.step()
    for _ in range(20):
        watched.unfinished = 1
        time.sleep(STALL_S / 4)
        watched.unfinished = 0
        time.sleep(STALL_S / 20)
        if watched.stalls:
            break
    assert watched.stalls and watched.stalls[0].what == "engine"


def test_a_wrong_expectation_does_not_hide_a_hang() -> None:
    engine = Watched(expected_step_s=lambda: 3600.0)
    engine.unfinished = 1
    until(lambda: bool(engine.stalls))
    assert engine.stalls[0].allowed_s == pytest.approx(11 * STALL_S)
    engine.close()


def test_a_pause_of_the_machine_is_forgotten() -> None:
    load = Load()
    load.add(a_waiter())
    longest = measured(load)
    longest.on_step(a_step(at_s=101.0, prefilled=500))
    assert longest.expected_step_s() == pytest.approx(400)
    for number in range(40):
        longest.on_step(a_step(at_s=101.5 + number / 2, prefilled=500))
    assert longest.expected_step_s() == pytest.approx(2)
