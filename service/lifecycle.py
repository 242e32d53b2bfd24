"""Start, warm-up, ready, drain: what state the service is in, and what it takes to get to the next."""

import asyncio
import gc
from contextlib import aclosing
from enum import StrEnum

from service.admission import Gate
from service.domain import Caller
from service.engine.base import Engine
from service.errors import NotReady
from service.normalize import normalize
from service.schema.request import ChatMessage, ChatRequest

_WARMUP_TOKENS = 8


class State(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class Lifecycle:
    """The states of one service process."""

    def __init__(self, engine: Engine, gate: Gate, *, warmup_prompts: list[str], drain_timeout_s: float) -> None:
        self._engine = engine
        self._gate = gate
        self._warmup_prompts = warmup_prompts
        self._drain_timeout_s = drain_timeout_s
        self._state = State.STARTING

    @property
    def state(self) -> State:
        return self._state if self._engine.is_healthy else State.FAILED

    @property
    def is_ready(self) -> bool:
        """New turns are welcome: a real warm-up turn has been answered, and the service is not draining."""
        return self.state is State.READY

    def check_ready(self) -> None:
        """Raises `NotReady`."""
        if not self.is_ready:
            raise NotReady(self.state)

    async def start(self) -> None:
        """Load the engine and answer the warm-up turns. Raises `StartError`, or `TurnError` from a warm-up."""
        await self._engine.start()
        for number, prompt in enumerate(self._warmup_prompts):
            await self._warm_up(f"warmup-{number}", prompt)
        # What start-up has made stays; collecting over it again and again would only stall turns. vLLM does the same.
        gc.collect()
        gc.freeze()
        if self._state is State.STARTING:
            self._state = State.READY

    async def drain(self) -> bool:
        """Refuse new turns and let running ones finish. True when all did within the drain time-out."""
        self._state = State.DRAINING
        try:
            async with asyncio.timeout(self._drain_timeout_s):
                await self._gate.until_empty()
        except TimeoutError:
            return False
        return True

    async def _warm_up(self, turn_id: str, prompt: str) -> None:
        model = self._engine.model
        request = ChatRequest(
            model=model.name, messages=[ChatMessage(role="user", content=prompt)], max_tokens=_WARMUP_TOKENS, temperature=0
        )
        job = normalize(request, caller=Caller(tenant="warmup"), turn_id=turn_id, model=model, max_choices=1)
        async with aclosing(self._engine.generate(await self._engine.prepare(job))) as steps:
            async for _ in steps:
                pass
