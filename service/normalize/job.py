"""Turns a `ChatRequest` into a `ChatJob`. It checks the bounds of fields and refuses unsupported fields by name."""

import time
from collections.abc import Callable
from typing import Any

from service.domain import Caller, ChatJob, ResponseFormat, Sampling
from service.engine.model_registry import ModelRegistry
from service.engine.models.template_variables import RENDERERS_OWN
from service.errors import InvalidRequest
from service.normalize.json_schema import check_schema
from service.normalize.messages import normalize_messages
from service.normalize.tools import tool_use_of
from service.schema.request import ChatRequest
from service.schema.tools import JsonSchemaFormat

# Fields that would change the answer but are not supported. They are refused by name, unless their value asks for nothing.
_REFUSED: dict[str, Callable[[Any], bool]] = {
    "audio": lambda value: value is None,
    "modalities": lambda value: value in (None, [], ["text"]),
    "moderation": lambda value: value is None,
    "web_search_options": lambda value: value is None,
    "chat_template": lambda value: value is None,
    "continue_final_message": lambda value: not value,
    "add_generation_prompt": lambda value: value in (None, True),
    **dict.fromkeys(
        (
            "prompt_logprobs", "echo", "use_beam_search", "documents", "bad_words", "allowed_token_ids", "structured_outputs",
            "guided_json", "guided_regex", "guided_choice", "guided_grammar",
        ),
        lambda value: not value,
    ),
}  # fmt: skip


def normalize(request: ChatRequest, *, caller: Caller, turn_id: str, model_registry: ModelRegistry, max_choices: int) -> ChatJob:
    """Return the job for a request.

    Raises `ModelNotFound`, or `InvalidRequest` for a value of the right type that is out of bounds or not supported.
    """
    adapter = model_registry.resolve(request.model)
    for field, is_harmless in _REFUSED.items():
        if not is_harmless(getattr(request, field)):
            raise InvalidRequest(
                f"This value of {field} is not supported. Remove {field}.", param=field, code="unsupported_value"
            )
    # The newer name wins, because OpenAI's reference deprecates max_tokens.
    name = "max_completion_tokens" if request.max_completion_tokens is not None else "max_tokens"
    max_tokens: int | None = getattr(request, name)
    _check_at_most(name, max_tokens, model_registry.card.max_model_len)
    _check_at_most("n", request.n, max_choices)
    if max_tokens is not None:
        _check_at_most("min_tokens", request.min_tokens, max_tokens)
    _check_template_kwargs(request)
    tool_use = tool_use_of(request)
    traits = (adapter.traits if adapter is not None else None) or model_registry.card.traits
    messages, rules = normalize_messages(request.messages, traits, tool_use)
    return ChatJob(
        turn_id=turn_id,
        tenant=caller.tenant,
        model=request.model,
        messages=messages,
        sampling=_sampling(request),
        max_tokens=max_tokens,
        is_stream=bool(request.stream),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        created=int(time.time()),
        adapter=adapter,
        tool_use=tool_use,
        response_format=_response_format(request),
        reasoning_effort=request.reasoning_effort,
        template_kwargs=request.chat_template_kwargs,
        cache_salt=caller.cache_salt,
        is_legacy_functions=bool(request.functions),
        wants_service_tier=request.service_tier is not None,
        rules=rules,
    )


def _check_template_kwargs(request: ChatRequest) -> None:
    """Check that only variables of the template are set, and no arguments of the renderer."""
    for name in request.chat_template_kwargs or ():
        if name in RENDERERS_OWN:
            raise InvalidRequest(
                f"chat_template_kwargs must not have {name}. Remove it.", param="chat_template_kwargs", code="invalid_value"
            )


def _check_at_most(field: str, value: int | None, limit: int) -> None:
    if value is not None and value > limit:
        raise InvalidRequest(f"{field} must be at most {limit}; given: {value}.", param=field, code="integer_above_max_value")


def _response_format(request: ChatRequest) -> ResponseFormat | None:
    asked = request.response_format
    if asked is None or asked.type == "text":
        return None
    if isinstance(asked, JsonSchemaFormat):
        schema = asked.json_schema.json_schema or {"type": "object"}
        check_schema(schema, "response_format.json_schema.schema")
        return ResponseFormat(json_schema=schema)
    return ResponseFormat(json_schema=None)


def _sampling(request: ChatRequest) -> Sampling:
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequest("top_logprobs requires logprobs to be true.", param="top_logprobs", code="invalid_value")
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    # At OpenAI, top_p 0 means the most likely token. Samplers need top_p above 0, so temperature 0 stands for it.
    is_greedy = request.top_p == 0
    return Sampling(
        temperature=0.0 if is_greedy else request.temperature,
        top_p=None if is_greedy else request.top_p,
        top_k=request.top_k,
        min_p=request.min_p,
        seed=request.seed,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        repetition_penalty=request.repetition_penalty,
        logit_bias=request.logit_bias,
        stop=stop,
        stop_token_ids=tuple(request.stop_token_ids or ()),
        min_tokens=request.min_tokens or 0,
        ignore_eos=bool(request.ignore_eos),
        n=request.n or 1,
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )
