"""Two ways to send calls. Open: on their own clock, whatever the server does; it is the one that shows overload.
Closed: a fixed number at a time, the next as one ends; it finds what a server can do at most.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from loadtest.overload.client import ask
from loadtest.overload.workloads import Turn, Workload, poisson
from loadtest.servers import Endpoint

_TICK_S = 0.01


@dataclass(frozen=True)
class Window:
    """The times of a cell, in seconds: load before it counts, the counted part, and how long the counted may take to end."""

    settle_s: float
    counted_s: float
    tail_s: float


@dataclass
class Recording:
    """What a loop saw."""

    opened_at: float
    closed_at: float
    """The window; a turn counts by when it was due."""
    turns: list[Turn]
    loop_lag_s: list[float] = field(default_factory=list)
    """How late the client's own event loop was, sampled all the time."""
    client_cpu: float = 0.0
    """Processors that the client kept busy."""


async def open_loop(endpoint: Endpoint, workload: Workload, *, calls_per_s: float, seed: str, window: Window) -> Recording:
    """Calls arrive by chance (Poisson) until every call of the window has ended or the tail is over; what still runs is cut."""
    began = time.monotonic()
    opened_at = began + window.settle_s
    recording = Recording(opened_at, opened_at + window.counted_s, [])
    counted: list[asyncio.Task[None]] = []
    async with _calling(endpoint, workload, recording) as start:

        async def arrive() -> None:
            for number, offset in enumerate(poisson(calls_per_s, seed)):
                due_at = began + offset
                await _sleep_until(due_at)
                task = start(f"{seed}/{number}", due_at)
                if due_at < recording.closed_at:
                    counted.append(task)

        arriving = asyncio.create_task(arrive())
        try:
            await _sleep_until(recording.closed_at)
            # Arrivals go on: the counted turns must end under the load they began in.
            if counted:
                await asyncio.wait(counted, timeout=window.tail_s)
        finally:
            arriving.cancel()
            await asyncio.wait([arriving])
    return recording


async def closed_loop(endpoint: Endpoint, workload: Workload, *, at_once: int, seed: str, window: Window) -> Recording:
    """So many calls at any time, from the beginning to the end of the window."""
    opened_at = time.monotonic() + window.settle_s
    recording = Recording(opened_at, opened_at + window.counted_s, [])
    async with _calling(endpoint, workload, recording) as start:
        numbers = itertools.count()

        async def keep_calling(first_in_s: float) -> None:
            await asyncio.sleep(first_in_s)
            while True:
                await start(f"{seed}/{next(numbers)}", time.monotonic())

        # Not all at the same moment: turns of one length would end in waves, and a window counts whole waves.
        workers = [asyncio.create_task(keep_calling(window.settle_s * number / at_once)) for number in range(at_once)]
        try:
            await _sleep_until(recording.closed_at)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)
    return recording


Start = Callable[[str, float], "asyncio.Task[None]"]
"""Begin a call of this name, due then."""


@contextlib.asynccontextmanager
async def _calling(endpoint: Endpoint, workload: Workload, recording: Recording) -> AsyncIterator[Start]:
    """Calls may be started within; at the end those still going are cut. Raises what a call broke on: a fault of the bench."""
    calls: set[asyncio.Task[None]] = set()
    broken: list[BaseException] = []

    async def take(turn: Turn, body: dict[str, Any]) -> None:
        await _sleep_until(turn.due_at)
        recording.turns.append(turn)
        await ask(endpoint, {"model": endpoint.model, **body}, turn.answer, drop_after=turn.drop_after)

    def start(name: str, due_at: float) -> asyncio.Task[None]:
        call = asyncio.create_task(workload.call(name, due_at, take))
        calls.add(call)
        call.add_done_callback(forget)
        return call

    def forget(call: asyncio.Task[None]) -> None:
        calls.discard(call)
        if not call.cancelled() and (error := call.exception()):
            broken.append(error)

    watching = asyncio.create_task(_watch_lag(recording.loop_lag_s))
    wall, cpu = time.monotonic(), time.process_time()
    try:
        yield start
    finally:
        recording.client_cpu = (time.process_time() - cpu) / (time.monotonic() - wall)
        for task in (ending := [*calls, watching]):
            task.cancel()
        await asyncio.wait(ending)
    if broken:
        raise broken[0]


async def _watch_lag(samples: list[float]) -> None:
    while True:
        due_at = time.monotonic() + _TICK_S
        await asyncio.sleep(_TICK_S)
        samples.append(time.monotonic() - due_at)


async def _sleep_until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - time.monotonic()))
