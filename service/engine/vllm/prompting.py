"""A model's tokenizer and chat template as vLLM has them, and vLLM's front end that renders prompts with them."""

from concurrent.futures import Executor
from typing import Any

from vllm.parser import ParserManager
from vllm.reasoning import ReasoningParserManager
from vllm.renderers.hf import resolve_chat_template
from vllm.renderers.online_renderer import OnlineRenderer
from vllm.utils.mistral import is_mistral_tokenizer

from service.engine.models.model_profile import ModelProfile, ModelSource
from service.engine.models.tokenizer_source import source_of
from service.engine.vllm.forced_calls import register_constraint
from service.engine.vllm.rendering import OneThreadRenderer
from service.engine.vllm.turn_reading import Prompting
from service.errors import StartError


def model_source(tokenizer: Any, model_config: Any, name: str, chat_template: str | None) -> ModelSource:
    """Return what a profile is made from. `chat_template` is the source of one that replaces the model's own."""
    is_mistral = is_mistral_tokenizer(tokenizer)
    # A template for tools can stand beside the default one. Without one of its own, vLLM knows a template for some models.
    given = chat_template or (None if is_mistral else getattr(tokenizer, "chat_template", None))
    if given is None and not is_mistral:
        given = resolve_chat_template(tokenizer, None, None, model_config=model_config)
    return source_of(
        tokenizer,
        given,
        model_type=str(model_config.hf_config.model_type),
        name=name,
        is_mistral_tokenizer=is_mistral,
        is_own_template=chat_template is not None,
    )


def check_engine_parser(profile: ModelProfile, tokenizer: Any) -> str | None:
    """Return vLLM's reasoning parser for the engine's process, which begins constraints where a thought ends.

    None if the profile has none, or if it cannot be made for this vocabulary: then a constraint begins at once. Raises
    `StartError` if the operator named it.
    """
    thoughts = profile.thoughts
    if thoughts is None or thoughts.engine_parser is None:
        return None
    try:
        ReasoningParserManager.get_reasoning_parser(thoughts.engine_parser)(tokenizer)
    except Exception as error:
        if thoughts.why == "FIRSTWORD_REASONING_PARSER":
            raise StartError(f"{thoughts.why}: {thoughts.engine_parser} does not fit this vocabulary: {error}") from None
        return None
    return thoughts.engine_parser


def prompting(source: ModelSource, profile: ModelProfile, model_config: Any, renderer: Any, workers: Executor) -> Prompting:
    """Return how a model, or an adapter with its own template, is prompted."""
    tool_parser, reasoning_parser = _constraint_parsers(source, profile)

    def front_end(executor: Executor | None) -> OnlineRenderer:
        return OnlineRenderer(
            model_config,
            OneThreadRenderer(renderer, executor, shows_tools=profile.traits.takes_tools),
            request_logger=None,
            chat_template=_passed_template(source, model_config),
            chat_template_content_format="auto",
            enable_auto_tools=True,
            tool_parser=tool_parser,
            reasoning_parser=reasoning_parser,
        )

    return Prompting(profile, front_end(workers), front_end(None))


def check_constraints(source: ModelSource, profile: ModelProfile) -> None:
    """Build vLLM's parsers as `prompting` will, before weights are loaded. Raises `StartError` if they do not fit the model."""
    tool_parser, reasoning_parser = _constraint_parsers(source, profile)
    try:
        ParserManager.get_parser(
            tool_parser_name=tool_parser,
            reasoning_parser_name=reasoning_parser,
            enable_auto_tools=True,
            is_harmony=source.model_type == "gpt_oss",
            tokenizer=source.tokenizer,
        )
    except Exception as error:
        raise StartError(f"vLLM's parsers {tool_parser} and {reasoning_parser} do not fit this model: {error}") from None


def _passed_template(source: ModelSource, model_config: Any) -> str | None:
    """Return the template to give to vLLM. None where vLLM finds it itself, among several or in a processor."""
    if source.is_own_template:
        return source.template
    template = getattr(source.tokenizer, "chat_template", None)
    # For a text-only model vLLM would load the tokenizer again to find its template.
    return template if not model_config.is_multimodal_model and isinstance(template, str) else None


def _constraint_parsers(source: ModelSource, profile: ModelProfile) -> tuple[str | None, str | None]:
    """Return vLLM's parsers that constrain the output. Only `profile.vllm_parsers` read it."""
    if profile.vllm_parsers is not None:
        return profile.vllm_parsers
    if profile.tool_parser is None:
        return None, None
    if source.model_type == "gpt_oss":
        return "openai", "openai_gptoss"
    if source.is_mistral_tokenizer:  # Has a grammar of its own, which also keeps special tokens out of texts.
        return "mistral", "mistral" if profile.thoughts is not None else None
    return register_constraint(profile.structural_tag), None
