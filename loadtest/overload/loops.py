"""Two ways to send calls.

Open loop: calls arrive by the clock, independent of the server. It shows overload.
Closed loop: a fixed number of calls at a time; each that ends is replaced. It finds a server's highest throughput.
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
    """The times of a cell, in seconds: uncounted load first, the counted part, and the time for counted calls to end."""

    settle_s: float
    counted_s: float
    tail_s: float


@dataclass
class Recording:
    """Results of a loop."""

    opened_at: float
    closed_at: float
    """End of the counted window. A turn counts if it was due between `opened_at` and `closed_at`."""
    turns: list[Turn]
    loop_lag_s: list[float] = field(default_factory=list)
    """Lags of the client's event loop, sampled continuously."""
    client_cpu: float = 0.0
    """CPUs that the client used, on average."""


async def open_loop(endpoint: Endpoint, workload: Workload, *, calls_per_s: float, seed: str, window: Window) -> Recording:
    """Run calls with Poisson arrivals until each call of the window has ended, or the tail is over. Then cut running calls."""
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
            # Arrivals continue, so that counted turns end under the load in which they began.
            if counted:
                await asyncio.wait(counted, timeout=window.tail_s)
        finally:
            arriving.cancel()
            await asyncio.wait([arriving])
    return recording


async def closed_loop(endpoint: Endpoint, workload: Workload, *, at_once: int, seed: str, window: Window) -> Recording:
    """Keep `at_once` calls running until the end of the window."""
    opened_at = time.monotonic() + window.settle_s
    recording = Recording(opened_at, opened_at + window.counted_s, [])
    async with _calling(endpoint, workload, recording) as start:
        numbers = itertools.count()

        async def keep_calling(first_in_s: float) -> None:
            await asyncio.sleep(first_in_s)
            while True:
                await start(f"{seed}/{next(numbers)}", time.monotonic())

        # Stagger the starts. Otherwise turns of equal length end in waves, and the window counts whole waves.
        workers = [asyncio.create_task(keep_calling(window.settle_s * number / at_once)) for number in range(at_once)]
        try:
            await _sleep_until(recording.closed_at)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)
    return recording


Start = Callable[[str, float], "asyncio.Task[None]"]
"""Starts a call with this name and due time."""


@contextlib.asynccontextmanager
async def _calling(endpoint: Endpoint, workload: Workload, recording: Recording) -> AsyncIterator[Start]:
    """Context in which calls can be started. At its end, calls that still run are cut.

    Raises the first exception of a call: it is a fault of the benchmark.
    """
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
