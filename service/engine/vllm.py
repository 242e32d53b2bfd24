"""The real engine: vLLM's AsyncLLM, driven in this process. The only file that imports vllm.

Rendering, sampling parameters and tokenization are vLLM's own; see ../shared/vllm-0.32.md for the traps. Importing this
module takes seconds (torch), so `app` and `cli` do it only when this engine is wanted.
"""

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Before vllm is imported: it reads these once. Spawn, since a fork of a process with CUDA or threads is broken.
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")

from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.outputs import RequestOutput
from vllm.platforms import current_platform
from vllm.renderers import TokenizeParams
from vllm.renderers.online_renderer import OnlineRenderer
from vllm.sampling_params import SamplingParams
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from service.domain import ChatJob, ChoiceFinished, Event, Finished, ModelCard, PreparedTurn, Step, TextDelta, Usage
from service.engine.base import build_args, completion_room
from service.engine.processes import kill_children
from service.errors import EngineFailed, InvalidRequest, Overloaded, StartError

_FINISH_REASONS = {"stop": "stop", "length": "length", "repetition": "stop"}


class _Request(ChatCompletionRequest):
    """vLLM's request, counting a prompt to its end: its own check stops one token past the limit and can't say how long it is."""

    def build_tok_params(self, model_config: Any) -> TokenizeParams:
        return TokenizeParams(max_total_tokens=None, add_special_tokens=self.add_special_tokens)


@dataclass(frozen=True, slots=True)
class _Payload:
    engine_input: Any
    params: SamplingParams


class VllmEngine:
    """One model on one AsyncLLM."""

    def __init__(self, model: str, served_model_name: str, engine_args: Mapping[str, Any]) -> None:
        """Check the arguments and read the model's configuration; no weights yet. Raises `StartError`."""
        defaults = {"model": model, "served_model_name": served_model_name, **_defaults(model)}
        args = build_args(AsyncEngineArgs, defaults, engine_args)
        try:
            self._config = args.create_engine_config(UsageContext.OPENAI_API_SERVER)
            tokenizer = cached_tokenizer_from_config(self._config.model_config)
        except Exception as error:
            raise StartError(f"vLLM refuses the model {model!r} or an engine argument: {error}") from None
        self._default_sampling = self._config.model_config.get_diff_sampling_param()
        self._model = ModelCard(
            name=served_model_name,
            created=int(time.time()),
            max_model_len=self._config.model_config.max_model_len,
            max_chars_per_token=tokenizer.max_chars_per_token,
        )
        self._llm: AsyncLLM | None = None
        self._renderer: OnlineRenderer | None = None
        self._is_loading = threading.Event()
        self._is_stopped = False

    @property
    def model(self) -> ModelCard:
        return self._model

    @property
    def is_healthy(self) -> bool:
        return self._llm is None or not self._llm.errored

    async def start(self) -> None:
        try:
            # The constructor blocks until weights are loaded; the probes must be answered meanwhile.
            self._llm = llm = await asyncio.to_thread(self._load)
            await llm.get_supported_tasks()  # On the loop: starts the task that reads the engine's outputs.
            self._renderer = OnlineRenderer(
                llm.model_config,
                llm.renderer,
                request_logger=None,
                chat_template=None,
                chat_template_content_format="auto",
            )
            await asyncio.to_thread(self._renderer.warmup)
        except Exception as error:
            raise StartError(f"The vLLM engine did not start: {type(error).__name__}: {error}") from error

    async def prepare(self, job: ChatJob) -> PreparedTurn:
        assert self._renderer is not None, "start() first"
        request = _request(job)
        try:
            rendered = await self._renderer.render_chat(request)
            if isinstance(rendered, ErrorResponse):
                raise InvalidRequest(rendered.error.message, param=rendered.error.param)
            engine_input = rendered[1][0]
            prompt_tokens = len(engine_input["prompt_token_ids"])
            max_tokens = completion_room(job, prompt_tokens=prompt_tokens, max_model_len=self._model.max_model_len)
            params = request.to_sampling_params(max_tokens, self._default_sampling)
        except (VLLMClientError, ValueError) as error:
            raise _invalid(error) from None
        return PreparedTurn(job=job, prompt_tokens=prompt_tokens, max_tokens=max_tokens, payload=_Payload(engine_input, params))

    async def generate(self, turn: PreparedTurn) -> AsyncGenerator[Step, None]:
        assert self._llm is not None, "start() first"
        payload = turn.payload
        assert isinstance(payload, _Payload)
        completion_tokens = 0
        step: Step = ()
        try:
            outputs = self._llm.generate(payload.engine_input, payload.params, turn.job.turn_id)
            async with aclosing(outputs):  # An unclosed generator keeps its KV blocks until garbage collection.
                async for output in outputs:
                    completion_tokens += sum(len(choice.token_ids) for choice in output.outputs)
                    step = _step(output, turn.prompt_tokens, completion_tokens)
                    if not output.finished:
                        yield step
            # Only now the last step: a reader that closes us on it would make vLLM abort what has just finished.
            yield step
        except (VLLMClientError, ValueError) as error:
            raise _invalid(error) from None
        except GracefulHTTPError:  # The engine's own bounds, off unless set by an engine argument.
            raise Overloaded(limit=self._llm.get_num_unfinished_requests()) from None
        except (EngineDeadError, EngineGenerateError) as error:
            raise EngineFailed from error

    def _load(self) -> AsyncLLM:
        self._is_loading.set()
        try:
            return AsyncLLM.from_vllm_config(self._config, usage_context=UsageContext.OPENAI_API_SERVER)
        finally:
            self._is_loading.clear()

    def stop(self, timeout_s: float) -> None:
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._llm is not None:
            self._llm.shutdown(timeout=timeout_s)
        # A thread that loads can't be interrupted, but fails as soon as the processes it waits for are gone.
        deadline = time.monotonic() + timeout_s
        while self._is_loading.is_set() and time.monotonic() < deadline:
            kill_children(wait_s=0.1)
            time.sleep(0.05)


def _defaults(model: str) -> dict[str, Any]:
    """Our engine arguments, where vLLM's own defaults do not suit an endpoint."""
    # A file beside the weights must not change what temperature a caller gets who asked for none.
    defaults: dict[str, Any] = {"generation_config": "vllm"}
    if Path(model).is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # Nothing to look up.
    if current_platform.is_cpu():
        # Without a size, vLLM wants 92 % of the machine's memory free; eager skips two minutes of compilation.
        defaults |= {"kv_cache_memory_bytes": 2**30, "enforce_eager": True}
        openmp = Path(sys.prefix, "lib", "libiomp5.so")
        if openmp.exists() and "LD_PRELOAD" not in os.environ:
            os.environ["LD_PRELOAD"] = str(openmp)  # For the engine's process, which is spawned later.
    return defaults


def _request(job: ChatJob) -> _Request:
    sampling = {name: value for name, value in asdict(job.sampling).items() if value is not None}
    sampling["stop"] = list(job.sampling.stop)
    return _Request(
        messages=[{"role": message.role, "content": message.content} for message in job.messages],
        model=job.model,
        stream=True,  # Deltas, also for an answer that is sent whole.
        **sampling,
    )


def _step(output: RequestOutput, prompt_tokens: int, completion_tokens: int) -> Step:
    events: list[Event] = []
    for choice in output.outputs:
        if choice.text:
            events.append(TextDelta(choice.index, choice.text))
        if choice.finish_reason is not None:
            reason = _FINISH_REASONS.get(choice.finish_reason)
            if reason is None:  # "abort", "error": the engine gave up; half an answer is not an answer.
                raise EngineFailed
            events.append(ChoiceFinished(choice.index, "length" if reason == "length" else "stop"))
    if output.finished:
        events.append(Finished(Usage(prompt_tokens, completion_tokens, output.num_cached_tokens or 0)))
    return events


def _invalid(error: Exception) -> InvalidRequest:
    """vLLM's own words about the parameter, without the value it appends: that can be a piece of the conversation."""
    return InvalidRequest(
        str(error.args[0]) if error.args else "The request is not valid.", param=getattr(error, "parameter", None)
    )
