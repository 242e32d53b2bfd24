"""What may arrive at chat/completions. Types are strict; fields we do not know are ignored, as OpenAI's SDKs expect."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from service.errors import InvalidRequest

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
# Discriminator tags that pydantic puts into an error's location; they are ours, not the caller's.
_TEXT, _PARTS, _ONE, _MANY = "<text>", "<parts>", "<one>", "<many>"


class _Wire(BaseModel):
    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, allow_inf_nan=False, hide_input_in_errors=True, protected_namespaces=()
    )


class TextPart(_Wire):
    """A content part. Text is the only kind this model takes."""

    type: Literal["text"]
    text: str


def _shape(value: object) -> str:
    return _TEXT if isinstance(value, str) else _PARTS


def _count(value: object) -> str:
    return _ONE if isinstance(value, str) else _MANY


Content = Annotated[
    Annotated[str, Tag(_TEXT)] | Annotated[list[TextPart], Tag(_PARTS)],
    Discriminator(_shape),
]
StopText = Annotated[str, Field(min_length=1)]
Stop = Annotated[
    Annotated[StopText, Tag(_ONE)] | Annotated[list[StopText], Field(max_length=4), Tag(_MANY)],
    Discriminator(_count),
]


class ChatMessage(_Wire):
    role: Literal["developer", "system", "user", "assistant"]
    content: Content | None = None


class StreamOptions(_Wire):
    include_usage: bool | None = None


class ChatRequest(_Wire):
    """OpenAI's request, the fields honoured here; limits are those of OpenAI's API reference (`n` has a setting)."""

    messages: list[ChatMessage] = Field(min_length=1)
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
    # vLLM's well-known extras.
    top_k: int | None = Field(default=None, ge=-1, le=2**31 - 1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    min_tokens: int | None = Field(default=None, ge=0, le=2**31 - 1)
    ignore_eos: bool | None = None
    # Known, and refused by `normalize` where they ask for something.
    tools: Any = None
    tool_choice: Any = None
    functions: Any = None
    function_call: Any = None
    response_format: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    modalities: Any = None
    audio: Any = None


def parse_request(body: bytes, *, max_messages: int) -> ChatRequest:
    """JSON -> `ChatRequest`. Raises `InvalidRequest` naming the first wrong field, its limit, and its value if a number."""
    try:
        request = ChatRequest.model_validate_json(body)
    except ValidationError as error:
        # First is enough, and of 10,000 wrong messages the others must cost nothing.
        raise _invalid(error.errors(include_url=False, include_context=True)[0]) from None
    if len(request.messages) > max_messages:
        raise InvalidRequest(
            f"messages may have {max_messages} entries at most; given: {len(request.messages)}.",
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
    # Numbers are shown, words are not: a misplaced piece of the conversation must not end up in a log of errors. Nor a
    # number inside of messages: it may be what the caller said.
    # An integer of thousands of digits is not worth repeating, and Python refuses to print it.
    is_short = isinstance(given, float) or (isinstance(given, int) and given.bit_length() <= 64)
    shown = f" Given: {given}." if is_short and loc[:1] != ("messages",) else ""
    subject = param or "The request body"
    return InvalidRequest(f"{subject}: {item['msg']}.{shown}", param=param, code=_code(kind, item.get("ctx", {})))


def _code(kind: str, bounds: dict[str, Any]) -> str:
    """OpenAI's string codes; those of numbers begin with the kind of number."""
    code = _CODES.get(kind, "invalid_type")
    if not code.endswith("_value") or code == "invalid_value":
        return code
    return ("decimal_" if any(isinstance(bound, float) for bound in bounds.values()) else "integer_") + code


def _path(loc: tuple[int | str, ...]) -> str | None:
    """`("messages", 0, "content")` -> `messages[0].content`, as OpenAI names parameters."""
    path = ""
    if loc[-1:] == ("[key]",):
        loc = loc[:-2]  # A name that the caller chose, and not one that is allowed: not ours to repeat.
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in (_TEXT, _PARTS, _ONE, _MANY):
            path += f".{part}" if path else part
    return path or None
