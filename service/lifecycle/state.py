"""The states of the service (starting, ready, draining, failed), and the steps between them: start, warm-up and drain."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from enum import StrEnum
from typing import Any

from service.admission import AdmissionController
from service.domain import Caller
from service.engine.model_registry import ModelRegistry
from service.engine.protocol import Engine
from service.errors import CutOff, InvalidRequest, NotReady
from service.lifecycle import gc_tuning
from service.lifecycle.adapters import Adapters
from service.lifecycle.prefix_warmup import PrefixWarmup
from service.normalize import internal_job

_WARMUP_TOKENS = 8
_SPAWNED_S = 3.0
"""Seconds after which an engine that has not started yet is waiting for its own processes."""
# Seconds in which turns that the drain cut off can send their error.
_FAREWELL_S = 1.0
_RARE_FIELDS: dict[str, Any] = {
    "logprobs": True,
    "top_logprobs": 2,
    "top_k": 20,
    "top_p": 0.9,
    "presence_penalty": 0.1,
    "response_format": {"type": "json_object"},
}


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Lifecycle:
    """The states of one service process."""

    def __init__(
        self,
        engine: Engine,
        admission: AdmissionController,
        adapters: Adapters,
        prefix_warmup: PrefixWarmup,
        *,
        warmup_prompts: list[str],
        lameduck_s: float,
        drain_timeout_s: float,
    ) -> None:
        self._engine = engine
        self._admission = admission
        self._adapters = adapters
        self._prefix_warmup = prefix_warmup
        self._keeping_warm: asyncio.Task[None] | None = None
        self._warmup_prompts = warmup_prompts
        self._lameduck_s = lameduck_s
        self._drain_timeout_s = drain_timeout_s
        self._state = State.STARTING
        self._is_lameduck = False
        self._is_cutting_off = False
        self._has_drained = False
        self._turns: set[asyncio.Task[Any]] = set()
        self._drain_deadline_s: float | None = None

    @property
    def state(self) -> State:
        # At the end of a drain we stop the engine ourselves, which is not a failure.
        return self._state if self._engine.is_healthy or self._has_drained else State.FAILED

    @property
    def is_ready(self) -> bool:
        """True if proxies may send turns: the warm-up is complete, and the service is not draining."""
        return self.state is State.READY

    @property
    def drain_deadline_timestamp_s(self) -> float:
        """When the drain cuts off running turns, in Unix seconds of the present clock. 0 without a drain."""
        deadline_s = self._drain_deadline_s
        return 0.0 if deadline_s is None else round(time.time() + deadline_s - time.monotonic(), 1)  # Only for drain_deadline.

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Scope of one turn. Raises `NotReady` if the service accepts no turns, and `CutOff` if the drain ends the turn."""
        if not (self.is_ready or (self._is_lameduck and self.state is State.DRAINING)):
            raise NotReady(self.state)
        task = asyncio.current_task()
        assert task is not None
        self._turns.add(task)
        try:
            with self.until_cut_off():
                yield
        finally:
            self._turns.discard(task)

    @contextmanager
    def until_cut_off(self) -> Iterator[None]:
        """Scope within a turn. Raises `CutOff` instead of the cancellation by which the drain ends the turn."""
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._is_cutting_off or task is None or task.uncancel() > 0:
                raise  # The caller hung up, or the server is stopping.
            raise CutOff(limit_s=self._drain_timeout_s) from None

    async def start(self) -> None:
        """Start the engine, load the adapters and run the warm-up. Raises `StartError`, or `TurnError` from a warm-up turn."""
        loading = asyncio.create_task(self._engine.start())
        await asyncio.wait([loading], timeout=_SPAWNED_S)
        if not loading.done():  # The engine's own processes are loading, so this process has time to collect garbage.
            gc_tuning.settle()
        await loading
        await self._adapters.load_configured()
        for number, prompt in enumerate(self._warmup_prompts):
            await self._warm_up(f"warmup-{number}", prompt)
        # Some things are compiled at their first use (samplers, grammars), which stalls every turn. Use them before calls come.
        with contextlib.suppress(InvalidRequest):  # A model that does not support one of these is still served.
            await self._warm_up("warmup-fields", self._warmup_prompts[0], **_RARE_FIELDS)
        await self._prefix_warmup.start()
        self._keeping_warm = asyncio.create_task(self._prefix_warmup.keep())
        gc_tuning.for_serving()
        if self._state is State.STARTING:
            self._state = State.READY

    async def drain(self) -> bool:
        """Drain the service. Return True if all turns finished.

        The service is not ready from now on. It serves new turns during the lameduck, then waits for running turns for the drain
        timeout, then cuts off the rest. The lameduck always takes its full time, even without turns, as proxies go on to send
        turns until they have noticed.
        """
        self._state = State.DRAINING
        self._drain_deadline_s = time.monotonic() + self._lameduck_s + self._drain_timeout_s
        if self._keeping_warm is not None:
            self._keeping_warm.cancel()
        self._is_lameduck = True
        await asyncio.sleep(self._lameduck_s)
        self._is_lameduck = False
        is_finished = await self._finish(within_s=self._drain_timeout_s)
        if not is_finished:
            self._is_cutting_off = True
            for task in self._turns:
                task.cancel()
            await self._finish(within_s=_FAREWELL_S)
        self._has_drained = True
        return is_finished

    async def _finish(self, *, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._admission.until_empty()
        except TimeoutError:
            return False
        return True

    async def _warm_up(self, turn_id: str, prompt: str, **fields: Any) -> None:
        asked = {"messages": [{"role": "user", "content": prompt}], "max_tokens": _WARMUP_TOKENS} | fields
        job = internal_job(
            asked, caller=Caller(tenant="warmup"), turn_id=turn_id, model_registry=ModelRegistry(self._engine.model)
        )
        async with aclosing(self._engine.generate(await self._engine.prepare(job))) as steps:
            async for _ in steps:
                pass
