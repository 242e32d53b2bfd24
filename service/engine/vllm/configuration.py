"""Makes a configured vLLM: checks engine arguments, and chooses the tokenizer and the parsers. No weights are loaded yet."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm import __version__ as vllm_version
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMClientError
from vllm.platforms import current_platform
from vllm.sampling_params import SamplingParams
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.usage.usage_lib import UsageContext

from service.domain import ModelCard, PromptSettings
from service.engine.models.model_profile import ModelProfile, ModelSource, ParserSettings, make_profile
from service.engine.models.token_texts import TokenTexts
from service.engine.models.trial import tried
from service.engine.protocol import build_args
from service.engine.vllm.arguments import Node, adapter_args, default_args, fingerprint, node_args
from service.engine.vllm.prompting import check_constraints, check_engine_parser, model_source
from service.engine.vllm.tracing import tracing_args
from service.errors import StartError
from service.telemetry.traces import OtlpProtocol

USAGE_CONTEXT = UsageContext.OPENAI_API_SERVER
"""vLLM derives its batch limits from this. Without it they are 2048 tokens and 128 sequences."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """A vLLM that is ready to load, and what is known about its model before loading."""

    vllm: Any
    """vLLM's own `VllmConfig`."""
    texts: TokenTexts
    source: ModelSource
    profile: ModelProfile
    engine_parser: str | None
    """vLLM's reasoning parser in the engine's process. None: constraints begin with the first token."""
    parsers: ParserSettings
    prompts: PromptSettings
    card: ModelCard
    default_sampling: dict[str, Any]
    """Sampling parameters of a request that sets none, where they differ from vLLM's."""
    is_traced: bool
    """Whether the engine sends its own spans."""


def configure(
    model: str,
    served_model_name: str,
    engine_args: Mapping[str, Any],
    *,
    parsers: ParserSettings,
    prompts: PromptSettings,
    model_sampling: bool,
    max_adapters: int,
    revision: str | None,
    otlp_endpoint: str | None,
    otlp_protocol: OtlpProtocol,
    node: Node | None,
) -> Configuration:
    """Check the arguments and read the model's configuration and tokenizer. Raises `StartError`.

    With `model_sampling`, a request that sets no sampling gets the model's own. `revision` is reported for a model folder that
    has no revision of its own.
    """
    is_cpu = current_platform.is_cpu()
    defaults = {
        "model": model,
        "served_model_name": served_model_name,
        **default_args(model, is_cpu=is_cpu, model_sampling=model_sampling),
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
    source = model_source(tokenizer, config.model_config, Path(model).name, prompts.chat_template)
    texts, profile = TokenTexts(tokenizer), make_profile(source, parsers, [prompts])
    # The engine needs vLLM's parser too: output constraints begin where a thought ends.
    check_constraints(source, profile)
    engine_parser = check_engine_parser(profile, tokenizer)
    if engine_parser is not None:
        config.structured_outputs_config.reasoning_parser = engine_parser
    if node is None or node.rank == 0:
        profile = tried(source, profile, parsers, texts)
    default_sampling = _default_sampling(config)
    card = ModelCard(
        name=served_model_name,
        created=int(time.time()),
        max_model_len=config.model_config.max_model_len,
        max_chars_per_token=tokenizer.max_chars_per_token,
        fingerprint=fingerprint(vllm_version, model, config.model_config.revision, engine_args, default_sampling),
        engine=f"vllm {vllm_version}",
        revision=revision or _revision(config.model_config),
        traits=profile.traits,
        unproven=profile.unproven or "",
    )
    is_traced = otlp_endpoint is not None
    return Configuration(
        config, texts, source, profile, engine_parser, parsers, prompts, card, default_sampling, is_traced=is_traced
    )


def _default_sampling(config: Any) -> dict[str, Any]:
    """Return the sampling parameters of a request that sets none. Raises `StartError` if the sampler would refuse them.

    The operator's `override_generation_config` takes precedence over the model's generation_config.json.
    """
    sampling: dict[str, Any] = config.model_config.get_diff_sampling_param()
    # From `max_new_tokens`, which is a limit of transformers' own loop, and often small. A request's limit is the context.
    sampling.pop("max_tokens", None)
    if config.speculative_config is not None and sampling.get("min_p"):  # vLLM would refuse every request.
        if "min_p" in config.model_config.override_generation_config:
            raise StartError("FIRSTWORD_ENGINE_ARGS: min_p cannot be combined with speculative_config.")
        del sampling["min_p"]
    try:
        SamplingParams.from_optional(**sampling)
    except (VLLMClientError, TypeError, ValueError) as error:
        raise StartError(
            f"generation_config.json or override_generation_config has a sampling parameter that vLLM refuses: {error}. "
            "FIRSTWORD_MODEL_SAMPLING=false ignores the file."
        ) from None
    return sampling


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
