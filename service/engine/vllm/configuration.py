"""From settings to a configured vLLM: engine arguments checked, tokenizer and parsers chosen, no weights loaded yet."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm import __version__ as vllm_version
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.platforms import current_platform
from vllm.reasoning import ReasoningParserManager
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.tool_parsers import ToolParserManager
from vllm.usage.usage_lib import UsageContext

from service.domain import ModelCard, TemplateTraits
from service.engine.models.parser_selection import HERMES, reasoning_parser_for, tool_parser_for
from service.engine.models.template_traits import probe_traits
from service.engine.protocol import build_args
from service.engine.vllm.arguments import AUTO, Node, adapter_args, default_args, fingerprint, node_args, pick_parser
from service.engine.vllm.tracing import tracing_args
from service.errors import StartError
from service.telemetry.traces import OtlpProtocol

USAGE_CONTEXT = UsageContext.OPENAI_API_SERVER
"""Without it vLLM takes 2048 tokens and 128 sequences as the bounds of a batch."""


@dataclass(frozen=True, slots=True)
class Parsers:
    """vLLM's parsers by name; None: the model has none."""

    tool: str | None
    reasoning: str | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """A vLLM that can be loaded, and what is known of its model before that."""

    vllm: Any
    """vLLM's own `VllmConfig`."""
    tokenizer: Any
    parsers: Parsers
    card: ModelCard
    default_sampling: dict[str, Any]
    """The model's own sampling parameters, where they differ from vLLM's defaults."""
    is_traced: bool
    """The engine sends spans of its own."""


def configure(
    model: str,
    served_model_name: str,
    engine_args: Mapping[str, Any],
    *,
    parsers: Parsers,
    max_adapters: int,
    revision: str | None,
    otlp_endpoint: str | None,
    otlp_protocol: OtlpProtocol,
    node: Node | None,
) -> Configuration:
    """Check the arguments and read the model's configuration and tokenizer. Raises `StartError`.

    `parsers` holds names of vLLM's, `auto` for the model family's, or `none`. `revision` is the one of a folder that names none.
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
        # Samplers would still be compiled at first use: a stall of seconds, and a C++ compiler that may not be there.
        os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    try:
        config = args.create_engine_config(USAGE_CONTEXT)
        tokenizer = cached_tokenizer_from_config(config.model_config)
    except Exception as error:
        raise StartError(f"vLLM refuses the model {model!r} or an engine argument: {error}") from None
    if node is not None:
        _check_share(config.parallel_config)
    traits = _probe(tokenizer)
    chosen = _choose_parsers(parsers, config.model_config.hf_config.model_type, f"{model} {served_model_name}", traits)
    if chosen.reasoning is not None:  # The engine must know it too: constraints begin where thinking ends.
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


def _probe(tokenizer: Any) -> TemplateTraits:
    """What the chat template can take, found out by rendering."""

    def render(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        return str(tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True))

    return probe_traits(render)


def _choose_parsers(asked: Parsers, model_type: str, name: str, traits: TemplateTraits) -> Parsers:
    # What normalization writes for a template that can't show tools is Hermes' form, so that is what to read.
    tool_of_family = tool_parser_for(model_type, name) if traits.takes_tools else HERMES
    return Parsers(
        tool=pick_parser("FIRSTWORD_TOOL_PARSER", asked.tool or AUTO, tool_of_family, ToolParserManager.list_registered()),
        reasoning=pick_parser(
            "FIRSTWORD_REASONING_PARSER",
            asked.reasoning or AUTO,
            reasoning_parser_for(model_type, name),
            ReasoningParserManager.list_registered(),
        ),
    )


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
