"""A second, real implementation of the engine protocol. It answers from a script, with scripted times, without a model.

Tests, front-end benchmarks and load-test dry runs use it. A script can set how long the prefill takes, the time between tokens,
several tokens in one step, a refusal, and a failure in the middle of a turn.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.domain import (
    NO_PROMPT_SETTINGS,
    Adapter,
    ChatJob,
    ChoiceFinished,
    EngineStep,
    Event,
    Finished,
    ModelCard,
    PreparedTurn,
    PromptSettings,
    Step,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from service.engine.protocol import build_args, completion_room
from service.engine.scripted.batch import Batch, BatchCosts
from service.errors import AdapterRefused, EngineFailed, TurnError

_CHARS_PER_TOKEN = 4
_JOBS_KEPT = 100


@dataclass(frozen=True)
class ScriptedArgs:
    """The fields that `FIRSTWORD_ENGINE_ARGS` may have for this engine. Times are in seconds."""

    max_model_len: int = 8192
    start_s: float = 0.0
    prefill_s: float = 0.0
    step_s: float = 0.0
    """Seconds from one token to the next."""
    is_batching: bool = False
    """Whether turns share steps, as on a real engine (see `scripted.batch`). The turns' own times then do not count.

    A step takes `step_s`, plus `turn_step_s` for each decoding turn and `prompt_token_s` for each prompt token in it.
    """
    turn_step_s: float = 0.0
    prompt_token_s: float = 0.0
    max_batched_tokens: int = 2048
    """Maximum number of prompt tokens in one shared step."""
    cache_blocks: int = 4096
    """Size of the prefix cache in blocks of 64 characters. 0 turns it off."""
    max_adapters: int = 8
    adapter_load_s: float = 0.0
    bad_adapters: tuple[str, ...] = ()
    """Names of adapters whose loading fails. Any other adapter loads if its folder exists."""


@dataclass(frozen=True)
class Reply:
    """One scripted answer. `steps` are the texts of successive engine steps.

    An empty text stands for half a character. A tuple holds the events themselves, such as a tool call or reasoning.
    """

    steps: tuple[str | tuple[Event, ...], ...]
    prefill_s: float | None = None
    step_s: float | None = None
    refuse: TurnError | None = None
    """Error to raise before the first step, as an engine's own parameter check does. None means no refusal."""
    fail_after: int | None = None
    """Number of steps after which the engine fails. None means that it does not fail."""


class ScriptedEngine:
    """Answers turns with the replies given to `enqueue`. Without a reply, a turn gets the words of its own last message."""

    def __init__(
        self, model_name: str, engine_args: Mapping[str, Any] | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.args = build_args(ScriptedArgs, {}, engine_args or {})
        self._model = ModelCard(
            name=model_name,
            created=int(time.time()),
            max_model_len=self.args.max_model_len,
            max_chars_per_token=_CHARS_PER_TOKEN,
            fingerprint="fp_scripted",
            engine="scripted",
        )
        self._script: deque[Reply] = deque()
        self.running = 0
        self.aborted = 0
        self.jobs: list[ChatJob] = []
        """The jobs that were started last, in order. Tests read here what became of a request."""
        self.trace_headers: Mapping[str, str] | None = None
        """Trace headers of the turn that was started last."""
        self.adapters: dict[int, Adapter] = {}
        """Adapters that are loaded now, by ID."""
        self._adapter_ids = itertools.count(1)
        self.is_healthy = True
        self._step_listeners: list[Callable[[EngineStep], None]] = []
        costs = BatchCosts(
            base_s=self.args.step_s,
            turn_s=self.args.turn_step_s,
            prompt_token_s=self.args.prompt_token_s,
            most_prompt_tokens=self.args.max_batched_tokens,
            cache_blocks=self.args.cache_blocks,
        )
        self._clock = clock
        self._batch = Batch(costs, self._report, clock) if self.args.is_batching else None

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

    async def load_adapter(self, name: str, path: str, prompts: PromptSettings = NO_PROMPT_SETTINGS) -> Adapter:
        await asyncio.sleep(self.args.adapter_load_s)
        if not await asyncio.to_thread(Path(path).is_dir):
            raise AdapterRefused(name, f"{path} is not a folder")
        if name in self.args.bad_adapters:
            raise AdapterRefused(name, "it is one of bad_adapters")
        assert len(self.adapters) < self.max_adapters, "the caller must not load more than max_adapters"
        adapter = Adapter(name, path, next(self._adapter_ids), prompts)
        self.adapters[adapter.id] = adapter
        return adapter

    async def unload_adapter(self, adapter: Adapter) -> None:
        del self.adapters[adapter.id]

    async def prepare(self, job: ChatJob) -> PreparedTurn:
        prompt_tokens = sum(-(-len(message.content) // _CHARS_PER_TOKEN) + 1 for message in job.messages)
        max_tokens = completion_room(job, prompt_tokens=prompt_tokens, max_model_len=self.args.max_model_len)
        return PreparedTurn(job=job, prompt_tokens=prompt_tokens, max_tokens=max_tokens, payload=self._next_reply(job))

    async def generate(self, turn: PreparedTurn, *, trace_headers: Mapping[str, str] | None = None) -> AsyncGenerator[Step, None]:
        reply = turn.payload
        assert isinstance(reply, Reply)
        assert turn.job.adapter is None or turn.job.adapter.id in self.adapters, "the adapter was unloaded while a turn uses it"
        self.trace_headers = trace_headers
        self.jobs.append(turn.job)
        del self.jobs[:-_JOBS_KEPT]
        self.running += 1
        is_finished = False
        prompt = "\n".join(message.content for message in turn.job.messages)
        salt = turn.job.cache_salt
        cached_tokens = self._batch.cached_tokens(prompt, salt, turn.prompt_tokens) if self._batch else 0
        try:
            if reply.refuse is not None:
                await asyncio.sleep(self._prefill_s(reply))
                raise reply.refuse
            if self._batch:
                ticks = self._batch.tokens(prompt, salt, turn.prompt_tokens - cached_tokens)
            else:
                ticks = self._alone(reply, turn.job.sampling.n)
            async with aclosing(ticks), aclosing(self._steps(turn, reply, ticks, cached_tokens)) as steps:
                async for step in steps:
                    is_finished = bool(step) and isinstance(step[-1], Finished)
                    yield step
        finally:
            self.running -= 1
            self.aborted += not is_finished
            if self._batch and turn.generated.tokens:
                steps_done = turn.generated.tokens // turn.job.sampling.n
                said = "".join(text for text in reply.steps[:steps_done] if isinstance(text, str))
                self._batch.remember(f"{prompt}\n{said}", salt)

    async def _alone(self, reply: Reply, choices: int) -> AsyncGenerator[None, None]:
        """Yield a turn's tokens at the turn's own pace."""
        await asyncio.sleep(self._prefill_s(reply))
        while True:
            self._report(EngineStep(self._clock(), 0, choices, running=choices, waiting=0, kv_usage=0.0))
            yield
            await asyncio.sleep(self.args.step_s if reply.step_s is None else reply.step_s)

    def _prefill_s(self, reply: Reply) -> float:
        return self.args.prefill_s if reply.prefill_s is None else reply.prefill_s

    async def _steps(
        self, turn: PreparedTurn, reply: Reply, ticks: AsyncGenerator[None, None], cached_tokens: int
    ) -> AsyncGenerator[Step, None]:
        texts = reply.steps[: turn.max_tokens]
        choices = range(turn.job.sampling.n)
        has_called = False
        for number, text in enumerate(texts):
            if number == reply.fail_after or not self.is_healthy:
                raise EngineFailed
            await anext(ticks)
            turn.generated.tokens += len(choices)
            events: list[Event] = [TextDelta(index, text) for index in choices if text] if isinstance(text, str) else list(text)
            has_called = has_called or any(isinstance(event, ToolCallDelta) for event in events)
            if number == len(texts) - 1:
                is_cut = len(texts) < len(reply.steps)
                events += [
                    ChoiceFinished(index, "length" if is_cut else "tool_calls" if has_called else "stop") for index in choices
                ]
                events.append(Finished(Usage(turn.prompt_tokens, len(texts) * len(choices), cached_tokens)))
            yield events

    def _report(self, step: EngineStep) -> None:
        for listener in self._step_listeners:
            listener(step)

    def _next_reply(self, job: ChatJob) -> Reply:
        if self._script:
            return self._script.popleft()
        words = job.messages[-1].content.split() or ["…"]
        if job.sampling.ignore_eos and job.max_tokens is not None:
            words = list(itertools.islice(itertools.cycle(words), job.max_tokens + 1))
        return Reply(steps=tuple(word if position == 0 else f" {word}" for position, word in enumerate(words)))

    def stop(self, timeout_s: float) -> None:
        self.is_healthy = False
