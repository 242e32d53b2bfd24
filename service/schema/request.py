"""The request to chat/completions, and how it is parsed. `docs/contract.md` has a row for each field."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError

from service.errors import InvalidRequest
from service.schema.base import MANY, ONE, TAGS, Wire
from service.schema.messages import ChatMessage
from service.schema.surrogates import repair
from service.schema.tools import FunctionCallChoice, FunctionSpec, ResponseFormatSpec, ToolChoice, ToolSpec

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


def _count(value: object) -> str:
    return ONE if isinstance(value, str) else MANY


StopText = Annotated[str, Field(min_length=1)]
Stop = Annotated[
    Annotated[StopText, Tag(ONE)] | Annotated[list[StopText], Field(max_length=4), Tag(MANY)],
    Discriminator(_count),
]
TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]


class StreamOptions(Wire):
    include_usage: bool | None = None


class ChatRequest(Wire):
    """OpenAI's request, with the fields that are supported. Limits are those of OpenAI's API reference; `n` has a setting."""

    # The first error is enough. With 10,000 wrong messages, the others must cost nothing.
    messages: list[ChatMessage] = Field(min_length=1, fail_fast=True)
    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=_INT64_MAX)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=_INT64_MAX)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    n: int | None = Field(default=None, ge=1, le=_INT64_MAX)
    stop: Stop | None = None
    seed: int | None = Field(default=None, ge=_INT64_MIN, le=_INT64_MAX)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[Annotated[str, Field(pattern=r"^\d{1,9}$")], Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    response_format: ResponseFormatSpec | None = None
    tools: list[ToolSpec] | None = Field(default=None, max_length=128)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionSpec] | None = Field(default=None, max_length=128)
    function_call: FunctionCallChoice | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    service_tier: str | None = None
    # Additional fields that vLLM's own server has.
    top_k: int | None = Field(default=None, ge=-1, le=2**31 - 1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    min_tokens: int | None = Field(default=None, ge=0, le=2**31 - 1)
    ignore_eos: bool | None = None
    stop_token_ids: list[TokenId] | None = Field(default=None, max_length=64)
    chat_template_kwargs: dict[str, Any] | None = None
    # Known but not supported. `normalize` refuses them if their value asks for something.
    audio: Any = None
    modalities: Any = None
    moderation: Any = None
    web_search_options: Any = None
    prompt_logprobs: Any = None
    echo: Any = None
    use_beam_search: Any = None
    chat_template: Any = None
    continue_final_message: Any = None
    add_generation_prompt: Any = None
    documents: Any = None
    bad_words: Any = None
    allowed_token_ids: Any = None
    structured_outputs: Any = None
    guided_json: Any = None
    guided_regex: Any = None
    guided_choice: Any = None
    guided_grammar: Any = None


def parse_request(body: bytes, *, max_messages: int) -> ChatRequest:
    """Parse JSON to a `ChatRequest`. Raises `InvalidRequest` with the first wrong field, its limit, and its value if a number."""
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=True)[0]
        if first["type"] == "json_invalid" and (repaired := repair(body)) is not None:
            return parse_request(repaired, max_messages=max_messages)
        raise _invalid(first) from None
    if len(request.messages) > max_messages:
        raise InvalidRequest(
            f"messages must have at most {max_messages} entries; given: {len(request.messages)}.",
            param="messages",
            code="array_above_max_length",
        )
    return request


_CODES = {
    "missing": "missing_required_parameter",
    "too_short": "empty_array",
    "too_long": "array_above_max_length",
    "greater_than": "below_min_value",
    "greater_than_equal": "below_min_value",
    "less_than_equal": "above_max_value",
    "literal_error": "invalid_value",
    "finite_number": "invalid_value",
    "string_too_short": "invalid_value",
    "string_pattern_mismatch": "invalid_value",
}


def _invalid(item: Any) -> InvalidRequest:
    kind, loc, given = item["type"], item["loc"], item.get("input")
    if kind == "json_invalid":
        return InvalidRequest(f"The request body is not valid JSON: {item['ctx']['error']}.", code="invalid_json")
    param = _path(loc)
    # Numbers are shown, but text is not: a misplaced part of the conversation must not get into an error log. A number inside
    # messages is not shown either, because the caller may have said it. And Python refuses to print an integer of thousands of
    # digits.
    is_short = isinstance(given, float) or (isinstance(given, int) and given.bit_length() <= 64)
    shown = f" Given: {given}." if is_short and loc[:1] != ("messages",) else ""
    subject = param or "The request body"
    return InvalidRequest(f"{subject}: {item['msg']}.{shown}", param=param, code=_code(kind, item.get("ctx", {})))


def _code(kind: str, bounds: dict[str, Any]) -> str:
    """Return OpenAI's error code. The code for a number out of bounds begins with the type of number."""
    code = _CODES.get(kind, "invalid_type")
    if not code.endswith("_value") or code == "invalid_value":
        return code
    return ("decimal_" if any(isinstance(bound, float) for bound in bounds.values()) else "integer_") + code


def _path(loc: tuple[int | str, ...]) -> str | None:
    """Turn `("messages", 0, "content")` into `messages[0].content`, as OpenAI names parameters."""
    path = ""
    if loc[-1:] == ("[key]",):
        loc = loc[:-2]  # The caller chose this name and it is not allowed, so it is not repeated.
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in TAGS:
            path += f".{part}" if path else part
    return path or None
