"""How a stream is split into frames: one per token while there is time to spare, fewer when the event loop gets busy."""

import asyncio
import itertools
import time
from collections.abc import Iterator

import httpx
import pytest

from service.domain import EngineStep
from service.engine.scripted.engine import Reply
from service.streaming.frames import FRAMES_HEADER, Frames, wants_each_token
from tests.support.service_under_test import ScriptedService, scripted_service

pytestmark = pytest.mark.alone
LONGEST_S = 0.04


class Loop:
    """An event loop whose thread uses a given share of a processor. Frames sees it at each step."""

    def __init__(self, *, longest_s: float = LONGEST_S) -> None:
        self.now_s = self.cpu_s = 100.0
        self.frames = Frames(longest_s=longest_s, cpu_s=lambda: self.cpu_s)

    def run(self, seconds: float, *, busy: float, step_s: float = 0.01) -> None:
        for _ in range(round(seconds / step_s)):
            self.now_s += step_s
            self.cpu_s += busy * step_s
            self.frames.on_step(EngineStep(self.now_s, 0, 1, running=1, waiting=0, kv_usage=0.0))


def test_the_window_is_closed_while_there_is_time_to_spare() -> None:
    loop = Loop()
    loop.run(20, busy=0.1)
    assert loop.frames.window_s == 0


def test_it_grows_to_the_longest_under_load_and_closes_again() -> None:
    loop = Loop()
    loop.run(1, busy=0.8)
    assert 0 < loop.frames.window_s < LONGEST_S
    loop.run(5, busy=0.8)
    assert loop.frames.window_s == LONGEST_S
    loop.run(5, busy=0.05)
    assert loop.frames.window_s == 0


def test_between_the_two_bounds_it_stays() -> None:
    loop = Loop()
    loop.run(1, busy=0.8)
    loop.run(0.5, busy=0.1)  # The measurement that began at the higher share ends.
    window_s = loop.frames.window_s
    assert window_s > 0
    loop.run(20, busy=0.1)
    assert loop.frames.window_s == window_s


def test_time_at_rest_is_not_load() -> None:
    loop = Loop()
    loop.run(0.2, busy=0.9)
    loop.now_s += 60
    loop.cpu_s += 55  # Other work: no turn ran.
    loop.run(1, busy=0.1)
    assert loop.frames.window_s == 0


def test_by_setting_each_token_has_a_frame() -> None:
    loop = Loop(longest_s=0)
    loop.run(5, busy=1.0)
    assert loop.frames.window_s == 0


def test_all_streams_wait_for_the_end_of_one_window_and_one_that_hangs_up_takes_no_other_with_it() -> None:
    frames = Frames(longest_s=LONGEST_S)
    frames.window_s = 0.2
    back_s: list[float] = []

    async def stream(begins_after_s: float) -> None:
        await asyncio.sleep(begins_after_s)
        await frames.gather()
        back_s.append(time.monotonic())

    async def run() -> None:
        early, late, gone = (asyncio.create_task(stream(begins_after_s)) for begins_after_s in (0, 0.1, 0.05))
        await asyncio.sleep(0.15)
        gone.cancel()
        await asyncio.gather(early, late, gone, return_exceptions=True)
        frames.window_s = 0
        await frames.gather()

    began_s = time.monotonic()
    asyncio.run(run())
    assert len(back_s) == 2
    assert min(back_s) - began_s >= 0.19
    assert max(back_s) - min(back_s) < 0.1  # The later stream opened no window of its own.


@pytest.fixture(scope="module")
def service() -> Iterator[ScriptedService]:
    with scripted_service() as service:
        yield service


def gaps_s(service: ScriptedService, **headers: str) -> list[float]:
    """Return the seconds between the text frames of one stream whose tokens are generated at once."""
    service.engine.enqueue(Reply(steps=("one", " two", " three"), prefill_s=0, step_s=0))
    body, headers = service.body(stream=True), {"x-api-key": service.key, **headers}
    with httpx.stream("POST", f"{service.url}/v1/chat/completions", json=body, headers=headers) as answer:
        lines = ((time.monotonic(), line) for line in answer.iter_lines())
        times = [at_s for at_s, line in lines if '"content":"' in line and '"content":""' not in line]
    assert len(times) == 3
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@pytest.fixture
def gathering(service: ScriptedService, monkeypatch: pytest.MonkeyPatch) -> float:
    """Set a window of 0.3 s, as under load. Returns its length."""
    monkeypatch.setattr(service.services.frames, "_adapt", lambda busy: None)
    monkeypatch.setattr(service.services.frames, "window_s", 0.3)
    return 0.3


def test_a_stream_gathers_for_the_window_from_its_first_frame_on(service: ScriptedService, gathering: float) -> None:
    assert min(gaps_s(service)) > gathering / 2
    assert min(gaps_s(service, **{FRAMES_HEADER: "adaptive"})) > gathering / 2


def test_a_caller_who_asks_for_it_gets_each_token_as_it_comes(service: ScriptedService, gathering: float) -> None:
    assert max(gaps_s(service, **{FRAMES_HEADER: "token"})) < gathering


@pytest.mark.parametrize(("asked", "each"), [(None, False), ("adaptive", False), ("token", True), (" token\t", True)])
def test_the_wish_is_read_without_the_blanks_around_it(asked: str | None, each: bool) -> None:
    assert wants_each_token(asked) is each


def test_a_wrong_wish_is_refused_by_name(service: ScriptedService) -> None:
    answer = service.post(service.body(), headers={FRAMES_HEADER: "each"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == FRAMES_HEADER
    assert answer.json()["error"]["code"] == "invalid_value"
