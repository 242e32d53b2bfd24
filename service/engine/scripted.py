"""A second, real implementation of the engine protocol: it answers from a script, on time, without a model.

For tests, front-end benchmarks and load-test dry runs. Everything an engine does to a turn can be scripted: how long
the prefill takes, the pace of tokens, what several tokens in one step look like, a refusal, a failure midway.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.domain import (
    Adapter,
    ChatJob,
    ChoiceFinished,
    EngineStep,
    Event,
    Finished,
    ModelCard,
    PreparedTurn,
    Step,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from service.engine.base import build_args, completion_room
from service.errors import AdapterRefused, EngineFailed, TurnError

_CHARS_PER_TOKEN = 4
_JOBS_KEPT = 100


@dataclass(frozen=True)
class ScriptedArgs:
    """What `FIRSTWORD_ENGINE_ARGS` may hold for this engine. Times in seconds."""

    max_model_len: int = 8192
    start_s: float = 0.0
    prefill_s: float = 0.0
    step_s: float = 0.0
    """From one token to the next."""
    max_adapters: int = 8
    adapter_load_s: float = 0.0
    bad_adapters: tuple[str, ...] = ()
    """Names of adapters whose loading fails. Any other in a folder that exists loads."""


@dataclass(frozen=True)
class Reply:
    """One scripted answer. `steps` are the texts of successive engine steps; an empty one is half a character, and one that is
    no text gives the events themselves (a tool call, a thought).
    """

    steps: tuple[str | tuple[Event, ...], ...]
    prefill_s: float | None = None
    step_s: float | None = None
    refuse: TurnError | None = None
    """Raised before the first step, as an engine's own parameter check does."""
    fail_after: int | None = None
    """Steps after which the engine breaks."""


class ScriptedEngine:
    """`enqueue` what the next turns shall get; without a script a turn hears its own last words."""

    def __init__(self, model_name: str, engine_args: Mapping[str, Any] | None = None) -> None:
        self.args = build_args(ScriptedArgs, {}, engine_args or {})
        self._model = ModelCard(
            name=model_name,
            created=int(time.time()),
            max_model_len=self.args.max_model_len,
            max_chars_per_token=_CHARS_PER_TOKEN,
            fingerprint="fp_scripted",
        )
        self._script: deque[Reply] = deque()
        self.running = 0
        self.aborted = 0
        self.jobs: list[ChatJob] = []
        """The last jobs that were started, in order: what the layers above made of the requests."""
        self.adapters: dict[int, Adapter] = {}
        """Those loaded now, by their number."""
        self._adapter_ids = itertools.count(1)
        self.is_healthy = True
        self._step_listeners: list[Callable[[EngineStep], None]] = []

    @property
    def model(self) -> ModelCard:
        return self._model

    @property
    def unfinished(self) -> int:
        return self.running

    @property
    def max_adapters(self) -> int:
        return self.args.max_adapters

    def enqueue(self, *replies: Reply) -> None:
        self._script.extend(replies)

    def watch_steps(self, listener: Callable[[EngineStep], None]) -> None:
        self._step_listeners.append(listener)

    async def start(self) -> None:
        await asyncio.sleep(self.args.start_s)

    async def load_adapter(self, name: str, path: str) -> Adapter:
        await asyncio.sleep(self.args.adapter_load_s)
        if not await asyncio.to_thread(Path(path).is_dir):
            raise AdapterRefused(name, f"{path} is not a folder")
        if name in self.args.bad_adapters:
            raise AdapterRefused(name, "the script says so")
        assert len(self.adapters) < self.max_adapters, "the caller keeps to max_adapters"
        adapter = Adapter(name, path, next(self._adapter_ids))
        self.adapters[adapter.id] = adapter
        return adapter

    async def unload_adapter(self, adapter: Adapter) -> None:
        del self.adapters[adapter.id]

    async def prepare(self, job: ChatJob) -> PreparedTurn:
        prompt_tokens = sum(-(-len(message.content) // _CHARS_PER_TOKEN) + 1 for message in job.messages)
        max_tokens = completion_room(job, prompt_tokens=prompt_tokens, max_model_len=self.args.max_model_len)
        return PreparedTurn(job=job, prompt_tokens=prompt_tokens, max_tokens=max_tokens, payload=self._next_reply(job))

    async def generate(self, turn: PreparedTurn) -> AsyncGenerator[Step, None]:
        reply = turn.payload
        assert isinstance(reply, Reply)
        assert turn.job.adapter is None or turn.job.adapter.id in self.adapters, "unloaded while a turn uses it"
        self.jobs.append(turn.job)
        del self.jobs[:-_JOBS_KEPT]
        self.running += 1
        is_finished = False
        try:
            await asyncio.sleep(self.args.prefill_s if reply.prefill_s is None else reply.prefill_s)
            if reply.refuse is not None:
                raise reply.refuse
            async for step in self._steps(turn, reply):
                is_finished = bool(step) and isinstance(step[-1], Finished)
                yield step
        finally:
            self.running -= 1
            self.aborted += not is_finished

    async def _steps(self, turn: PreparedTurn, reply: Reply) -> AsyncGenerator[Step, None]:
        texts = reply.steps[: turn.max_tokens]
        pace_s = self.args.step_s if reply.step_s is None else reply.step_s
        choices = range(turn.job.sampling.n)
        has_called = False
        for number, text in enumerate(texts):
            if number == reply.fail_after or not self.is_healthy:
                raise EngineFailed
            if number:
                await asyncio.sleep(pace_s)
            events: list[Event] = [TextDelta(index, text) for index in choices if text] if isinstance(text, str) else list(text)
            has_called = has_called or any(isinstance(event, ToolCallDelta) for event in events)
            if number == len(texts) - 1:
                is_cut = len(texts) < len(reply.steps)
                events += [
                    ChoiceFinished(index, "length" if is_cut else "tool_calls" if has_called else "stop") for index in choices
                ]
                events.append(Finished(Usage(turn.prompt_tokens, len(texts) * len(choices), cached_tokens=0)))
            self._tell_step(turn.prompt_tokens if number == 0 else 0, len(choices))
            yield events

    def _tell_step(self, prefilled_tokens: int, generated_tokens: int) -> None:
        """Each turn runs at its own pace here, so each is a batch of its own."""
        step = EngineStep(time.monotonic(), prefilled_tokens, generated_tokens, running=1, waiting=0, kv_usage=0.0)
        for listener in self._step_listeners:
            listener(step)

    def _next_reply(self, job: ChatJob) -> Reply:
        if self._script:
            return self._script.popleft()
        words = job.messages[-1].content.split() or ["…"]
        return Reply(steps=tuple(word if position == 0 else f" {word}" for position, word in enumerate(words)))

    def stop(self, timeout_s: float) -> None:
        self.is_healthy = False
