"""One model on vLLM's AsyncLLM, which runs in this process. Importing this module takes seconds (torch)."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.envs import enable_envs_cache
from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.lora.request import LoRARequest
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.executor.multiproc_executor import MultiprocExecutor

from service.domain import NO_PROMPT_SETTINGS, Adapter, ChatJob, EngineStep, ModelCard, PreparedTurn, PromptSettings, Step
from service.engine.lora.adapter_loading import AdapterLoader
from service.engine.lora.base_weights import read_base
from service.engine.models.model_profile import ALL_AUTO, ModelProfile, ModelSource, ParserSettings, make_profile
from service.engine.models.trial import tried
from service.engine.processes import kill_children
from service.engine.protocol import completion_room
from service.engine.vllm.arguments import Node
from service.engine.vllm.configuration import USAGE_CONTEXT, configure
from service.engine.vllm.prompting import model_source, prompting
from service.engine.vllm.rendering import is_small
from service.engine.vllm.request_mapping import request_fields
from service.engine.vllm.step_listener import StepListener
from service.engine.vllm.tracing import UNTRACED, closing_engine_spans
from service.engine.vllm.turn_reading import Payload, Prompting, as_invalid, turn_reader
from service.errors import AdapterRefused, EngineFailed, InvalidRequest, Overloaded, StartError
from service.telemetry.traces import OtlpProtocol

# These loggers quote the text on which a template or a parser failed. It can be part of the conversation. The caller gets the
# error.
for _quoting in ("vllm.renderers", "vllm.parser", "vllm.tool_parsers", "vllm.reasoning"):
    logging.getLogger(_quoting).setLevel(logging.CRITICAL)


class VllmEngine:
    """Implements `Engine` on vLLM."""

    def __init__(
        self,
        model: str,
        served_model_name: str,
        engine_args: Mapping[str, Any],
        *,
        parsers: ParserSettings = ALL_AUTO,
        prompts: PromptSettings = NO_PROMPT_SETTINGS,
        model_sampling: bool = True,
        max_adapters: int = 0,
        revision: str | None = None,
        otlp_endpoint: str | None = None,
        otlp_protocol: OtlpProtocol = "grpc",
        node: Node | None = None,
    ) -> None:
        """Check the arguments and read the model's configuration. No weights are loaded yet. Raises `StartError`.

        With `model_sampling`, a request that sets no sampling gets the model's own. `revision` is reported for a model folder
        that has no revision of its own. The engine sends its spans to `otlp_endpoint`; None means no spans. `node` is this node
        of a replica on several nodes: the leader calls `start`, and the others call `work`.
        """
        self._configured = configure(
            model,
            served_model_name,
            engine_args,
            parsers=parsers,
            prompts=prompts,
            model_sampling=model_sampling,
            max_adapters=max_adapters,
            revision=revision,
            otlp_endpoint=otlp_endpoint,
            otlp_protocol=otlp_protocol,
            node=node,
        )
        self._config = self._configured.vllm
        self._step_listeners: list[Callable[[EngineStep], None]] = []
        self._llm: AsyncLLM | None = None
        self._workers: ThreadPoolExecutor | None = None
        self._prompting: Prompting | None = None
        self._prompting_of: dict[int, Prompting] = {}
        """By the ID of an adapter that has prompt settings of its own."""
        self._adapters: AdapterLoader | None = None
        self._is_loading = threading.Event()
        self._is_stopped = False

    @property
    def model(self) -> ModelCard:
        return self._configured.card

    @property
    def is_healthy(self) -> bool:
        return self._llm is None or not self._llm.errored

    @property
    def unfinished(self) -> int:
        return self._llm.get_num_unfinished_requests() if self._llm else 0

    def watch_steps(self, listener: Callable[[EngineStep], None]) -> None:
        self._step_listeners.append(listener)

    async def start(self) -> None:
        try:
            # The constructor blocks until weights are loaded, and probes must be answered meanwhile.
            self._llm = llm = await asyncio.to_thread(self._load)
            await llm.get_supported_tasks()  # On the loop: starts the task that reads the engine's outputs.
            self._workers = ThreadPoolExecutor(llm.model_config.renderer_num_workers, thread_name_prefix="rendering")
            self._prompting = self._make_prompting(self._configured.source, self._configured.profile)
            await asyncio.to_thread(self._prompting.renderer.warmup)
            enable_envs_cache()  # Otherwise vLLM reads the environment for each token.
            if lora := self._config.lora_config:
                revision, download_dir = llm.model_config.revision, self._config.load_config.download_dir
                base = partial(read_base, llm.model_config.model, revision=revision, download_dir=download_dir)
                self._adapters = AdapterLoader(llm, LoRARequest, base, max_rank=lora.max_lora_rank)
        except Exception as error:
            raise StartError(f"The vLLM engine did not start: {type(error).__name__}: {error}") from error

    def work(self) -> None:
        """Run this node's part of the model. A node that is not the leader calls this instead of `start`.

        Blocks until that part has ended; this method does not end it. `vllm serve --headless` does the same. Raises vLLM's own
        errors if the part cannot be loaded.
        """
        MultiprocExecutor(self._config, monitor_workers=False).start_worker_monitor(inline=True)

    @property
    def max_adapters(self) -> int:
        lora = self._config.lora_config
        return (lora.max_cpu_loras or 0) if lora else 0

    async def load_adapter(self, name: str, path: str, prompts: PromptSettings = NO_PROMPT_SETTINGS) -> Adapter:
        assert self._adapters is not None, "start() first, with max_adapters"
        if prompts == NO_PROMPT_SETTINGS:
            return await self._adapters.load(name, path, prompts)
        try:
            prompting = await asyncio.to_thread(self._prompting_for, name, prompts)
        except StartError as error:
            raise AdapterRefused(name, str(error)) from None
        adapter = await self._adapters.load(name, path, prompts, prompting.profile.traits)
        self._prompting_of[adapter.id] = prompting
        return adapter

    async def unload_adapter(self, adapter: Adapter) -> None:
        assert self._adapters is not None, "start() first, with max_adapters"
        self._prompting_of.pop(adapter.id, None)
        await self._adapters.unload(adapter)

    def _prompting_for(self, name: str, prompts: PromptSettings) -> Prompting:
        """Return how an adapter with prompt settings of its own is prompted. Raises `StartError`."""
        configured = self._configured
        source = configured.source
        if prompts.chat_template is not None:
            source = model_source(configured.texts.tokenizer, self._config.model_config, name, prompts.chat_template)
        profile = make_profile(source, configured.parsers, [configured.prompts, prompts])
        return self._make_prompting(source, tried(source, profile, configured.parsers, configured.texts))

    def _make_prompting(self, source: ModelSource, profile: ModelProfile) -> Prompting:
        assert self._llm is not None and self._workers is not None
        return prompting(source, profile, self._llm.model_config, self._llm.renderer, self._workers)

    async def prepare(self, job: ChatJob) -> PreparedTurn:
        prompting = (self._prompting_of.get(job.adapter.id) if job.adapter else None) or self._prompting
        assert prompting is not None, "start() first"
        fields = request_fields(job, self._configured.default_sampling, prompting.profile.variables_of(job))
        renderer = prompting.renderer_at_once if is_small(job, fields.get("tools")) else prompting.renderer
        request = ChatCompletionRequest(**fields, request_id=job.turn_id)
        try:
            rendered = await renderer.render_chat(request)
            if isinstance(rendered, ErrorResponse):
                raise InvalidRequest(rendered.error.message, param=rendered.error.param)
            engine_input = rendered[1][0]
            prompt_tokens = len(engine_input["prompt_token_ids"])
            max_tokens = completion_room(job, prompt_tokens=prompt_tokens, max_model_len=self.model.max_model_len)
            params = request.to_sampling_params(max_tokens, self._configured.default_sampling)
        except (VLLMClientError, ValueError) as error:
            raise as_invalid(error) from None
        params.detokenize = False  # Our reader decodes: it must know which text is of which token.
        payload = Payload(engine_input, params, request, prompting)
        return PreparedTurn(job=job, prompt_tokens=prompt_tokens, max_tokens=max_tokens, payload=payload)

    async def generate(self, turn: PreparedTurn, *, trace_headers: Mapping[str, str] | None = None) -> AsyncGenerator[Step, None]:
        assert self._llm is not None, "start() first"
        reader, reasoning = turn_reader(turn, self._configured.texts, self._config.model_config)
        if self._configured.engine_parser is None:
            reasoning = {}
        lora = self._adapters.request_of(turn.job.adapter) if self._adapters and turn.job.adapter else None
        trace_headers = trace_headers or (UNTRACED if self._configured.is_traced else None)
        outputs, is_finished = await self._add(turn, lora_request=lora, trace_headers=trace_headers, **reasoning), False
        try:
            while not reader.is_over:
                try:
                    # If the caller waited before this read, vLLM has merged the outputs since the last one.
                    output = await outputs.get()
                except Exception as error:
                    raise EngineFailed from error
                is_finished = output.finished
                yield reader.read(output)
        finally:
            if not is_finished:  # Otherwise the engine would go on generating and keep the turn's KV blocks.
                if not reader.is_over:
                    turn.generated.tokens = reader.completion_tokens + tokens_waiting(outputs)
                await self._llm.abort(outputs.request_id, internal=True)

    async def _add(self, turn: PreparedTurn, **more: Any) -> Any:
        """Give a turn to the engine. Returns vLLM's collector of the turn's outputs, as `AsyncLLM.generate` reads it in a loop.

        Raises `InvalidRequest`, `Overloaded` or `EngineFailed`.
        """
        assert self._llm is not None and isinstance(turn.payload, Payload)
        try:
            return await self._llm.add_request(turn.job.turn_id, turn.payload.engine_input, turn.payload.params, **more)
        except VLLMClientError as error:
            raise as_invalid(error) from None
        except GracefulHTTPError:  # vLLM's own limits. They are off unless an engine argument sets them.
            raise Overloaded("the engine's own queue is full") from None
        except Exception as error:
            raise EngineFailed from error

    def _load(self) -> AsyncLLM:
        self._is_loading.set()
        try:
            return AsyncLLM.from_vllm_config(
                self._config,
                usage_context=USAGE_CONTEXT,
                stat_loggers=[partial(StepListener, self._step_listeners)],
            )
        finally:
            self._is_loading.clear()

    def stop(self, timeout_s: float) -> None:
        if self._is_stopped:
            return
        self._is_stopped = True
        deadline = time.monotonic() + timeout_s
        sending = closing_engine_spans()  # In parallel, so that a collector that is down does not delay the stop.
        if self._llm is not None:
            self._llm.shutdown(timeout=timeout_s)
        # A loading thread cannot be interrupted. It fails as soon as the processes that it waits for are gone.
        while self._is_loading.is_set() and time.monotonic() < deadline:
            kill_children(wait_s=0.1)
            time.sleep(0.05)
        if sending is not None:
            sending.join(max(0.0, deadline - time.monotonic()))


def tokens_waiting(outputs: Any) -> int:
    """Return the number of completion tokens that were generated but not read, over all choices."""
    try:
        waiting = outputs.get_nowait()
    except Exception:  # The collector raises the error that ended the engine.
        return 0
    return sum(len(choice.token_ids) for choice in waiting.outputs) if waiting is not None else 0
