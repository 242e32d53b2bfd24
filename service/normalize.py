"""`ChatRequest` -> `ChatJob`: what arrived becomes what it means. The only maker of a `ChatJob`."""

import time
from collections.abc import Callable
from typing import Any

from service.domain import Caller, ChatJob, Message, ModelCard, Role, Sampling
from service.errors import InvalidRequest, ModelNotFound
from service.schema.request import ChatMessage, ChatRequest

# OpenAI renamed `system` for its newer models; templates know `system`.
_ROLES: dict[str, Role] = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}

# What would change the meaning of the answer and is not built yet: refused by name, unless its value asks for nothing.
_UNSUPPORTED: dict[str, Callable[[Any], bool]] = {
    "tools": lambda value: not value,
    "tool_choice": lambda value: value in (None, "none", "auto"),
    "functions": lambda value: not value,
    "function_call": lambda value: value in (None, "none", "auto"),
    "response_format": lambda value: value is None or value == {"type": "text"},
    "logprobs": lambda value: not value,
    "top_logprobs": lambda value: not value,
    "modalities": lambda value: value in (None, ["text"]),
    "audio": lambda value: value is None,
}


def normalize(request: ChatRequest, *, caller: Caller, turn_id: str, model: ModelCard, max_choices: int) -> ChatJob:
    """Raises `ModelNotFound`, or `InvalidRequest` for a value of the right type that is out of bounds or not supported."""
    if request.model != model.name:
        raise ModelNotFound(request.model)
    _refuse_unsupported(request)
    # The newer name wins, as in OpenAI's reference, where max_tokens is deprecated in its favour.
    name = "max_completion_tokens" if request.max_completion_tokens is not None else "max_tokens"
    max_tokens: int | None = getattr(request, name)
    _check_at_most(name, max_tokens, model.max_model_len)
    _check_at_most("n", request.n, max_choices)
    return ChatJob(
        turn_id=turn_id,
        tenant=caller.tenant,
        model=model.name,
        messages=tuple(Message(role=_ROLES[message.role], content=_text(message)) for message in request.messages),
        sampling=_sampling(request),
        max_tokens=max_tokens,
        is_stream=bool(request.stream),
        include_usage=bool(request.stream_options and request.stream_options.include_usage),
        created=int(time.time()),
    )


def _refuse_unsupported(request: ChatRequest) -> None:
    for field, is_harmless in _UNSUPPORTED.items():
        if not is_harmless(getattr(request, field)):
            raise InvalidRequest(f"{field} is not supported with this value.", param=field, code="unsupported_value")


def _check_at_most(field: str, value: int | None, limit: int) -> None:
    if value is not None and value > limit:
        raise InvalidRequest(f"{field} may be {limit} at most; given: {value}.", param=field, code="integer_above_max_value")


def _text(message: ChatMessage) -> str:
    if message.content is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    return "\n".join(part.text for part in message.content)


def _sampling(request: ChatRequest) -> Sampling:
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    # OpenAI takes top_p 0 to mean the likeliest token; samplers want it above 0, so say greedy in the other way.
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
        min_tokens=request.min_tokens or 0,
        ignore_eos=bool(request.ignore_eos),
        n=request.n or 1,
    )
