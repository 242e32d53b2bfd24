"""Makes a configured vLLM: checks engine arguments, and chooses the tokenizer and the parsers. No weights are loaded yet."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm import __version__ as vllm_version
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.reasoning import ReasoningParserManager
from vllm.renderers.online_renderer import OnlineRenderer
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.tool_parsers import ToolParserManager
from vllm.usage.usage_lib import UsageContext

from service.domain import ModelCard, TemplateTraits
from service.engine.models.parser_selection import HERMES, reasoning_parser_for, tool_parser_for
from service.engine.models.template_traits import probe_traits
from service.engine.protocol import build_args
from service.engine.vllm.arguments import Node, adapter_args, default_args, fingerprint, node_args, pick_parser
from service.engine.vllm.tracing import tracing_args
from service.errors import StartError
from service.telemetry.traces import OtlpProtocol

USAGE_CONTEXT = UsageContext.OPENAI_API_SERVER
"""vLLM derives its batch limits from this. Without it they are 2048 tokens and 128 sequences."""


@dataclass(frozen=True, slots=True)
class Parsers:
    """Names of vLLM's parsers. None means that the model has no such parser."""

    tool: str | None
    reasoning: str | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """A vLLM that is ready to load, and what is known about its model before loading."""

    vllm: Any
    """vLLM's own `VllmConfig`."""
    tokenizer: Any
    parsers: Parsers
    card: ModelCard
    default_sampling: dict[str, Any]
    """The model's own sampling parameters, where they differ from vLLM's defaults."""
    is_traced: bool
    """Whether the engine sends its own spans."""


def configure(
    model: str,
    served_model_name: str,
    engine_args: Mapping[str, Any],
    *,
    tool_parser: str,
    reasoning_parser: str,
    max_adapters: int,
    revision: str | None,
    otlp_endpoint: str | None,
    otlp_protocol: OtlpProtocol,
    node: Node | None,
) -> Configuration:
    """Check the arguments and read the model's configuration and tokenizer. Raises `StartError`.

    The parsers are names of vLLM's parsers, `auto` for the model family's parser, or `none`. `revision` is reported for a model
    folder that has no revision of its own.
    """
    is_cpu = current_platform.is_cpu()
    defaults = {
        "model": model,
        "served_model_name": served_model_name,
        **default_args(model, is_cpu=is_cpu),
        **adapter_args(max_adapters),
        **tracing_args(otlp_endpoint, otlp_protocol, os.environ),
        **node_args(node, engine_args),
    }
    args = build_args(AsyncEngineArgs, defaults, engine_args)
    if is_cpu and args.enforce_eager:
        # Samplers would still be compiled at first use. That stalls for seconds and needs a C++ compiler, which may be missing.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    try:
        config = args.create_engine_config(USAGE_CONTEXT)
        tokenizer = cached_tokenizer_from_config(config.model_config)
    except Exception as error:
        raise StartError(f"vLLM refuses the model {model!r} or an engine argument: {error}") from None
    if node is not None:
        _check_share(config.parallel_config)
    traits = _probe(tokenizer)
    family = config.model_config.hf_config.model_type, f"{model} {served_model_name}"
    # For a template that cannot show tools, normalization describes them in Hermes' form. So that form must be parsed.
    tool_of_family = tool_parser_for(*family) if traits.takes_tools else HERMES
    chosen = Parsers(
        pick_parser("FIRSTWORD_TOOL_PARSER", tool_parser, tool_of_family, ToolParserManager.list_registered()),
        pick_parser(
            "FIRSTWORD_REASONING_PARSER",
            reasoning_parser,
            reasoning_parser_for(*family),
            ReasoningParserManager.list_registered(),
        ),
    )
    if chosen.reasoning is not None:  # The engine needs the parser too: output constraints begin where reasoning ends.
        config.structured_outputs_config.reasoning_parser = chosen.reasoning
    card = ModelCard(
        name=served_model_name,
        created=int(time.time()),
        max_model_len=config.model_config.max_model_len,
        max_chars_per_token=tokenizer.max_chars_per_token,
        fingerprint=fingerprint(vllm_version, model, config.model_config.revision, engine_args),
        engine=f"vllm {vllm_version}",
        revision=revision or _revision(config.model_config),
        traits=traits,
    )
    default_sampling = config.model_config.get_diff_sampling_param()
    return Configuration(config, tokenizer, chosen, card, default_sampling, is_traced=otlp_endpoint is not None)


def make_renderer(configured: Configuration, renderer: Any) -> OnlineRenderer:
    """Return vLLM's front end for a renderer. It turns a chat request into the engine's input."""
    config = configured.vllm.model_config
    # For a text-only model vLLM can only find the tokenizer's template, and it would load the tokenizer again to find it.
    template = getattr(configured.tokenizer, "chat_template", None)
    return OnlineRenderer(
        config,
        renderer,
        request_logger=None,
        chat_template=template if not config.is_multimodal_model and isinstance(template, str) else None,
        chat_template_content_format="auto",
        enable_auto_tools=True,
        tool_parser=configured.parsers.tool,
        reasoning_parser=configured.parsers.reasoning,
    )


def _probe(tokenizer: Any) -> TemplateTraits:
    """Find out by rendering what the chat template supports."""

    def render(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        return str(tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True))

    return probe_traits(render)


def _check_share(parallel: Any) -> None:
    """Check that this node has one device for each of its ranks. Raises `StartError`.

    vLLM uses the number of visible devices to decide whether two ranks share a node. With a wrong number the ranks never connect.
    """
    ranks, devices = parallel.local_world_size, current_platform.device_count()
    if ranks != devices:
        raise StartError(
            f"FIRSTWORD_NODES: {parallel.world_size} ranks on {parallel.nnodes} nodes need {ranks} devices on each node; "
            f"this node has {devices}. tensor_parallel_size x pipeline_parallel_size must be nodes x devices."
        )


def _revision(model_config: Any) -> str:
    """Return the revision that was requested, or else the commit that the model hub reported."""
    return model_config.revision or getattr(model_config.hf_config, "_commit_hash", None) or "local"
