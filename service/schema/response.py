"""What leaves: OpenAI's answer, stream chunk, model list and error, as models. The OpenAPI document shows them and the
tests validate with them; the wire itself is written by `encode`, which costs less per token.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())


class PromptTokensDetails(_Wire):
    cached_tokens: int


class Usage(_Wire):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class AnswerMessage(_Wire):
    role: Literal["assistant"]
    content: str
    refusal: None


class Choice(_Wire):
    index: int
    message: AnswerMessage
    logprobs: None
    finish_reason: Literal["stop", "length"]


class ChatCompletion(_Wire):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class Delta(_Wire):
    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(_Wire):
    index: int
    delta: Delta
    logprobs: None
    finish_reason: Literal["stop", "length"] | None


class ChatCompletionChunk(_Wire):
    """One `data:` event of a stream; `usage` only where asked for, filled in the last chunk, whose `choices` are empty."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class Model(_Wire):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "firstword"
    max_model_len: int


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
