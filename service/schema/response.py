"""Models of OpenAI's answer, stream chunk, model list and error.

The OpenAPI document shows them, and tests validate with them. `streaming.encode` writes the bytes itself, which costs less per
token.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())


class PromptTokensDetails(_Wire):
    cached_tokens: int


class CompletionTokensDetails(_Wire):
    reasoning_tokens: int


class Usage(_Wire):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class FunctionCall(_Wire):
    name: str
    arguments: str


class ToolCall(_Wire):
    id: str
    type: Literal["function"]
    function: FunctionCall


class TopLogprob(_Wire):
    token: str
    logprob: float
    bytes: list[int]


class Logprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class Logprobs(_Wire):
    content: list[Logprob]
    refusal: None


class AnswerMessage(_Wire):
    """The answer's message. `content` is null beside a call. `reasoning_content` is a reasoning model's reasoning.

    `function_call` is the legacy form of a call.
    """

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None


FinishReason = Literal["stop", "length", "tool_calls", "function_call"]


class Choice(_Wire):
    index: int
    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: FinishReason


class ChatCompletion(_Wire):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    service_tier: str | None = None
    choices: list[Choice]
    usage: Usage


class FunctionCallDelta(_Wire):
    name: str | None = None
    arguments: str


class ToolCallDelta(_Wire):
    """A piece of a call. `id`, `type` and the name come once, with the first piece. `arguments` come in pieces."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionCallDelta


class Delta(_Wire):
    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    function_call: FunctionCallDelta | None = None


class ChunkChoice(_Wire):
    index: int
    delta: Delta
    logprobs: Logprobs | None
    finish_reason: FinishReason | None


class ChatCompletionChunk(_Wire):
    """One `data:` event of a stream. `usage` is present only if requested. The last chunk has it, with empty `choices`."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    service_tier: str | None = None
    choices: list[ChunkChoice]
    usage: Usage | None = None


class Model(_Wire):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "firstword"
    max_model_len: int
    parent: str | None = None
    """Name of the base model, for an adapter. None for the base model itself."""


class ModelList(_Wire):
    object: Literal["list"] = "list"
    data: list[Model]


class ErrorDetail(_Wire):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(_Wire):
    error: ErrorDetail
