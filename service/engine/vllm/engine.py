"""The real engine: vLLM's AsyncLLM, driven in this process. The only file that imports vllm.

Rendering, sampling parameters and tokenization are vLLM's own; see ../shared/vllm-0.32.md for the traps. Importing this
module takes seconds (torch), so `app` and `cli` do it only when this engine is wanted.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

# Before vllm is imported: it reads these once. Spawn, since a fork of a process with CUDA or threads is broken.
os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout is for what a person asked for.

from vllm import __version__ as vllm_version
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.envs import enable_envs_cache
from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform
from vllm.reasoning import ReasoningParserManager
from vllm.renderers.online_renderer import OnlineRenderer
from vllm.sampling_params import SamplingParams
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.tool_parsers import ToolParserManager
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine import EngineCoreOutput
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.executor.multiproc_executor import MultiprocExecutor
from vllm.v1.metrics.loggers import PrometheusStatLogger, StatLoggerBase
from vllm.v1.metrics.stats import IterationStats, SchedulerStats

from service.domain import Adapter, ChatJob, EngineStep, ModelCard, PreparedTurn, Step
from service.engine.lora.adapter_loading import AdapterLoader
from service.engine.lora.base_weights import read_base
from service.engine.models.parser_selection import HERMES, reasoning_parser_for, tool_parser_for
from service.engine.models.template_traits import probe_traits
from service.engine.processes import kill_children
from service.engine.protocol import build_args, completion_room
from service.engine.vllm.arguments import AUTO, Node, adapter_args, default_args, fingerprint, node_args, pick_parser
from service.engine.vllm.holding import holding, keep_tokens, tokens_made
from service.engine.vllm.one_waiter import OneWaiter
from service.engine.vllm.output_events import ChoiceReader, ParsedReader, TurnReader
from service.engine.vllm.rendering import OneVisit, is_small
from service.engine.vllm.request_mapping import request_fields
from service.engine.vllm.tracing import UNTRACED, closing_engine_spans, tracing_args
from service.errors import EngineFailed, InvalidRequest, Overloaded, StartError
from service.telemetry.fast_metrics import QuickHistogram, on_change
from service.telemetry.traces import OtlpProtocol

# They log what a template or a parser tripped over, in its own words: a piece of the conversation. The caller is told.
for _quoting in ("vllm.renderers", "vllm.parser", "vllm.tool_parsers", "vllm.reasoning"):
    logging.getLogger(_quoting).setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class _Payload:
    engine_input: Any
    params: SamplingParams
    request: ChatCompletionRequest


class _Metrics(PrometheusStatLogger):
    """vLLM's `vllm:*` metrics, without what they cost in vain. It looks every token's latency up in a histogram, which takes a
    sixth of the event loop's time at 64 streams: those of a step fall into a bucket or two, and are counted together. And with
    each step it adds 0 to a dozen counters, and sets a dozen gauges to what they are.
    """

    _histogram_cls = QuickHistogram

    def __init__(self, vllm_config: Any, engine_indexes: list[int] | None = None) -> None:
        super().__init__(vllm_config, engine_indexes)
        for name, of_engines in vars(self).items():
            setattr(self, name, on_change(of_engines))

    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: IterationStats | None,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        if iteration_stats is not None:
            latencies_s = iteration_stats.inter_token_latencies_iter
            iteration_stats.inter_token_latencies_iter = []  # Nobody comes after us: of the loggers it is the last.
            self.histogram_inter_token_latency[engine_idx].observe_many(latencies_s)
        super().record(scheduler_stats, iteration_stats, mm_cache_stats, engine_idx)


class _StepLogger(StatLoggerBase):
    """vLLM's statistics of each step, which it gives on the event loop -> `EngineStep`."""

    def __init__(self, listeners: Sequence[Callable[[EngineStep], None]], vllm_config: Any, engine_index: int = 0) -> None:
        self._listeners = listeners

    def record(
        self, scheduler_stats: SchedulerStats | None, iteration_stats: IterationStats | None, *args: Any, **kwargs: Any
    ) -> None:
        if scheduler_stats is None:
            return
        step = EngineStep(
            at_s=time.monotonic(),
            prefilled_tokens=iteration_stats.prompt_token_stats.computed if iteration_stats else 0,
            generated_tokens=iteration_stats.num_generation_tokens if iteration_stats else 0,
            running=scheduler_stats.num_running_reqs,
            # Without those skipped: their grammars are being compiled, and they stand in nobody's way.
            waiting=scheduler_stats.num_waiting_reqs,
            kv_usage=scheduler_stats.kv_cache_usage,
        )
        for listener in self._listeners:
            listener(step)

    def log_engine_initialized(self) -> None:
        pass


class VllmEngine:
    """One model on one AsyncLLM."""

    def __init__(
        self,
        model: str,
        served_model_name: str,
        engine_args: Mapping[str, Any],
        *,
        tool_parser: str = AUTO,
        reasoning_parser: str = AUTO,
        max_adapters: int = 0,
        revision: str | None = None,
        otlp_endpoint: str | None = None,
        otlp_protocol: OtlpProtocol = "grpc",
        node: Node | None = None,
    ) -> None:
        """Check the arguments and read the model's configuration; no weights yet. Raises `StartError`.

        The parsers are names of vLLM's, `auto` for the model family's, or `none`. `revision` is of a folder that says none.
        Spans of the engine go to `otlp_endpoint`, where one is given. `node` is which one this is, where a replica spans several:
        the leader starts and serves, the others `work`.
        """
        defaults = {
            "model": model,
            "served_model_name": served_model_name,
            **default_args(model, is_cpu=current_platform.is_cpu()),
            **adapter_args(max_adapters),
            **tracing_args(otlp_endpoint, otlp_protocol, os.environ),
            **node_args(node, engine_args),
        }
        self._untraced = UNTRACED if otlp_endpoint else None
        args = build_args(AsyncEngineArgs, defaults, engine_args)
        if current_platform.is_cpu() and args.enforce_eager:
            # Samplers would still be compiled at first use: a stall of seconds, and a C++ compiler that may not be there.
            os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
        try:
            config = args.create_engine_config(UsageContext.OPENAI_API_SERVER)
            self._tokenizer = cached_tokenizer_from_config(config.model_config)
        except Exception as error:
            raise StartError(f"vLLM refuses the model {model!r} or an engine argument: {error}") from None
        if node is not None:
            _check_share(config.parallel_config)
        family = config.model_config.hf_config.model_type, f"{model} {served_model_name}"
        traits = probe_traits(self._render)
        # What normalization writes for a template that can't show tools is Hermes' form, so that is what to read.
        of_family = tool_parser_for(*family) if traits.takes_tools else HERMES
        self._tool_parser = pick_parser("FIRSTWORD_TOOL_PARSER", tool_parser, of_family, ToolParserManager.list_registered())
        self._reasoning_parser = pick_parser(
            "FIRSTWORD_REASONING_PARSER",
            reasoning_parser,
            reasoning_parser_for(*family),
            ReasoningParserManager.list_registered(),
        )
        if self._reasoning_parser is not None:  # The engine must know it too: constraints begin where thinking ends.
            config.structured_outputs_config.reasoning_parser = self._reasoning_parser
        self._config = config
        self._default_sampling = config.model_config.get_diff_sampling_param()
        self._model = ModelCard(
            name=served_model_name,
            created=int(time.time()),
            max_model_len=config.model_config.max_model_len,
            max_chars_per_token=self._tokenizer.max_chars_per_token,
            fingerprint=fingerprint(vllm_version, model, config.model_config.revision, engine_args),
            engine=f"vllm {vllm_version}",
            revision=revision or _revision(config.model_config),
            traits=traits,
        )
        self._step_listeners: list[Callable[[EngineStep], None]] = []
        self._llm: AsyncLLM | None = None
        self._renderer: OnlineRenderer | None = None
        self._renderer_at_once: OnlineRenderer | None = None
        self._adapters: AdapterLoader | None = None
        self._is_loading = threading.Event()
        self._is_stopped = False

    @property
    def model(self) -> ModelCard:
        return self._model

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
            # The constructor blocks until weights are loaded; the probes must be answered meanwhile.
            self._llm = llm = await asyncio.to_thread(self._load)
            keep_tokens(llm.output_processor, EngineCoreOutput)
            await llm.get_supported_tasks()  # On the loop: starts the task that reads the engine's outputs.
            workers = ThreadPoolExecutor(llm.model_config.renderer_num_workers, thread_name_prefix="rendering")
            self._renderer = self._make_renderer(OneVisit(llm.renderer, workers))
            self._renderer_at_once = self._make_renderer(OneVisit(llm.renderer, None))
            await asyncio.to_thread(self._renderer.warmup)
            enable_envs_cache()  # Or vLLM looks into the environment with each token.
            if lora := self._config.lora_config:
                revision, download_dir = llm.model_config.revision, self._config.load_config.download_dir
                base = partial(read_base, llm.model_config.model, revision=revision, download_dir=download_dir)
                self._adapters = AdapterLoader(llm, LoRARequest, base, max_rank=lora.max_lora_rank)
        except Exception as error:
            raise StartError(f"The vLLM engine did not start: {type(error).__name__}: {error}") from error

    def _make_renderer(self, renderer: Any) -> OnlineRenderer:
        # Of a model that takes text alone vLLM finds no template but the tokenizer's, after loading the tokenizer once more.
        is_text_alone = not self._config.model_config.is_multimodal_model
        template = getattr(self._tokenizer, "chat_template", None)
        return OnlineRenderer(
            self._config.model_config,
            renderer,
            request_logger=None,
            chat_template=template if is_text_alone and isinstance(template, str) else None,
            chat_template_content_format="auto",
            enable_auto_tools=True,
            tool_parser=self._tool_parser,
            reasoning_parser=self._reasoning_parser,
        )

    def work(self) -> None:
        """Instead of `start`, on a further node: run its part of the model. Returns when that has ended, never of itself.

        It is what `vllm serve --headless` does. Raises what vLLM raises where the part can't be loaded.
        """
        MultiprocExecutor(self._config, monitor_workers=False).start_worker_monitor(inline=True)

    @property
    def max_adapters(self) -> int:
        lora = self._config.lora_config
        return (lora.max_cpu_loras or 0) if lora else 0

    async def load_adapter(self, name: str, path: str) -> Adapter:
        assert self._adapters is not None, "start() first, with max_adapters"
        return await self._adapters.load(name, path)

    async def unload_adapter(self, adapter: Adapter) -> None:
        assert self._adapters is not None, "start() first, with max_adapters"
        await self._adapters.unload(adapter)

    async def prepare(self, job: ChatJob) -> PreparedTurn:
        fields = request_fields(job)
        renderer = self._renderer_at_once if is_small(job, fields.get("tools")) else self._renderer
        assert renderer is not None, "start() first"
        request = ChatCompletionRequest(**fields, request_id=job.turn_id)
        try:
            rendered = await renderer.render_chat(request)
            if isinstance(rendered, ErrorResponse):
                raise InvalidRequest(rendered.error.message, param=rendered.error.param)
            engine_input = rendered[1][0]
            prompt_tokens = len(engine_input["prompt_token_ids"])
            max_tokens = completion_room(job, prompt_tokens=prompt_tokens, max_model_len=self._model.max_model_len)
            params = request.to_sampling_params(max_tokens, self._default_sampling)
        except (VLLMClientError, ValueError) as error:
            raise _invalid(error) from None
        return PreparedTurn(
            job=job, prompt_tokens=prompt_tokens, max_tokens=max_tokens, payload=_Payload(engine_input, params, request)
        )

    async def generate(self, turn: PreparedTurn, *, trace_headers: Mapping[str, str] | None = None) -> AsyncGenerator[Step, None]:
        assert self._llm is not None, "start() first"
        payload = turn.payload
        assert isinstance(payload, _Payload)
        reader, reasoning = self._reader(turn.job, payload)
        # Template and tokenizer stay the base model's: an adapter brings weights alone.
        lora = self._adapters.request_of(turn.job.adapter) if self._adapters and turn.job.adapter else None
        more = {"lora_request": lora, "trace_headers": trace_headers or self._untraced, **reasoning}
        outputs, is_finished = await self._outputs(turn.job.turn_id, payload, more), False
        outputs.ready = OneWaiter()
        try:
            while not is_finished:
                try:
                    while (output := outputs.get_nowait()) is None:
                        await outputs.ready.wait()
                except Exception as error:
                    raise EngineFailed from error
                if not turn.generated.tokens:
                    turn.generated.hold = holding(self._llm.output_processor, turn.job.turn_id)
                is_finished = output.finished
                step = reader.read(output)
                turn.generated.tokens = reader.completion_tokens
                yield step
        except (VLLMClientError, ValueError) as error:  # A parser's, of what it can't make out.
            raise _invalid(error) from None
        finally:
            if not is_finished:  # Or it would keep its KV blocks, and go on.
                turn.generated.tokens = max(turn.generated.tokens, tokens_made(self._llm.output_processor, turn.job.turn_id))
                await self._llm.abort(outputs.request_id, internal=True)

    async def _outputs(self, turn_id: str, payload: _Payload, more: Mapping[str, Any]) -> Any:
        """vLLM's collector of what the engine makes of a turn, which is in the engine now. `AsyncLLM.generate` is a loop around
        it: one generator more for each frame to pass, which at 64 streams is felt.
        """
        assert self._llm is not None
        try:
            return await self._llm.add_request(turn_id, payload.engine_input, payload.params, **more)
        except VLLMClientError as error:
            raise _invalid(error) from None
        except GracefulHTTPError:  # The engine's own bounds, off unless set by an engine argument.
            raise Overloaded("the engine's own queue is full") from None
        except Exception as error:
            raise EngineFailed from error

    def _reader(self, job: ChatJob, payload: _Payload) -> tuple[TurnReader, dict[str, Any]]:
        """What reads the turn's outputs, and what `generate` must know where the model thinks first."""
        assert self._renderer is not None
        decode, prompt_token_ids = self._tokenizer.decode, payload.engine_input["prompt_token_ids"]
        constraint = "response_format" if job.response_format is not None else "tools" if job.tool_use is not None else None
        uses_tools = job.tool_use is not None and job.tool_use.choice != "none"
        parser_class = self._renderer.parser
        if parser_class is None or not (uses_tools or self._reasoning_parser):
            readers = [ChoiceReader(index, job, decode) for index in range(job.sampling.n)]
            return TurnReader(readers, len(prompt_token_ids), constraint=constraint), {}
        template_kwargs = self._renderer.effective_chat_template_kwargs(payload.request)
        given = {"chat_template_kwargs": template_kwargs, "model_config": self._config.model_config}
        parsers = [parser_class(self._tokenizer, payload.request.tools, **given) for _ in range(job.sampling.n)]
        readers = [
            ParsedReader(index, job, decode, parser=parser, request=payload.request, prompt_token_ids=prompt_token_ids)
            for index, parser in enumerate(parsers)
        ]
        reasoning: dict[str, Any] = {"reasoning_ended": payload.request.resolve_reasoning_ended(parsers[0], prompt_token_ids)}
        if parsers[0].reasoning_parser is not None:
            reasoning["reasoning_parser_kwargs"] = {"chat_template_kwargs": template_kwargs}
        return TurnReader(readers, len(prompt_token_ids), constraint=constraint), reasoning

    def _render(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        """The template on its own, for finding out what it takes."""
        return str(self._tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True))

    def _load(self) -> AsyncLLM:
        self._is_loading.set()
        try:
            return AsyncLLM.from_vllm_config(
                self._config,
                usage_context=UsageContext.OPENAI_API_SERVER,
                stat_loggers=[partial(_StepLogger, self._step_listeners), _Metrics],
            )
        finally:
            self._is_loading.clear()

    def stop(self, timeout_s: float) -> None:
        if self._is_stopped:
            return
        self._is_stopped = True
        deadline = time.monotonic() + timeout_s
        sending = closing_engine_spans()  # Beside the rest: a collector that is down must not make the end any later.
        if self._llm is not None:
            self._llm.shutdown(timeout=timeout_s)
        # A thread that loads can't be interrupted, but fails as soon as the processes it waits for are gone.
        while self._is_loading.is_set() and time.monotonic() < deadline:
            kill_children(wait_s=0.1)
            time.sleep(0.05)
        if sending is not None:
            sending.join(max(0.0, deadline - time.monotonic()))


def _check_share(parallel: Any) -> None:
    """vLLM tells whether two ranks share a node by the devices that it sees: with another number of ranks they never meet."""
    ranks, devices = parallel.local_world_size, current_platform.device_count()
    if ranks != devices:
        raise StartError(
            f"FIRSTWORD_NODES: {parallel.world_size} ranks on {parallel.nnodes} nodes need {ranks} devices on each, and this one "
            f"has {devices}; tensor_parallel_size x pipeline_parallel_size must be nodes x devices."
        )


def _revision(model_config: Any) -> str:
    """As it was asked for, or as the model hub says of what it gave."""
    return model_config.revision or getattr(model_config.hf_config, "_commit_hash", None) or "local"


def _invalid(error: Exception) -> InvalidRequest:
    """vLLM's own words about the parameter, without the value it appends: that can be a piece of the conversation."""
    words = str(error.args[0]) if error.args else "The request is not valid."
    if words.startswith(
        ("Failed to transform json schema", "The provided JSON schema")
    ):  # A grammar compiler's words, with a place in its source.
        reason = words.rpartition(": ")[2].strip()
        return InvalidRequest(f"The JSON schema can't be held to: {reason}.", param="response_format", code="invalid_value")
    return InvalidRequest(words, param=getattr(error, "parameter", None), code="invalid_value")
