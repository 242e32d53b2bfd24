"""OpenAI's answer, stream chunk and error as strict models.

They say what any server must send; `service.schema.response` says what ours sends. A test compares them with the official
client's types. Where the API reference is stricter than the client, so are they: `content` must be present, even if null.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Expected:
    """Marks a field that the API reference requires. Clients read its absence as null."""


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False, protected_namespaces=())


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=0)]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast"]


class PromptTokensDetails(_Wire):
    audio_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cached_tokens: Count | None = None
    image_tokens: Count | None = None
    text_tokens: Count | None = None


class CompletionTokensDetails(_Wire):
    accepted_prediction_tokens: Count | None = None
    audio_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    rejected_prediction_tokens: Count | None = None
    text_tokens: Count | None = None


class Usage(_Wire):
    completion_tokens: Count
    prompt_tokens: Annotated[int, Field(ge=1)]
    total_tokens: Count
    completion_tokens_details: CompletionTokensDetails | None = None
    prompt_tokens_details: PromptTokensDetails | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> "Usage":
        if self.total_tokens != self.prompt_tokens + self.completion_tokens:
            raise ValueError("total_tokens is not the sum of prompt_tokens and completion_tokens")
        return self


class TopLogprob(_Wire):
    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class Logprobs(_Wire):
    content: list[TokenLogprob] | None = None
    refusal: list[TokenLogprob] | None = None


class UrlCitation(_Wire):
    end_index: int
    start_index: int
    title: str
    url: str


class Annotation(_Wire):
    type: Literal["url_citation"]
    url_citation: UrlCitation


class Audio(_Wire):
    id: str
    data: str
    expires_at: int
    transcript: str


class FunctionCall(_Wire):
    arguments: str
    name: str


class CustomCall(_Wire):
    input: str
    name: str


class FunctionToolCall(_Wire):
    id: Text
    function: FunctionCall
    type: Literal["function"]


class CustomToolCall(_Wire):
    id: Text
    custom: CustomCall
    type: Literal["custom"]


ToolCall = Annotated[FunctionToolCall | CustomToolCall, Field(discriminator="type")]


class Message(_Wire):
    content: str | None
    refusal: Annotated[str | None, Expected] = None
    role: Literal["assistant"]
    annotations: list[Annotation] | None = None
    audio: Audio | None = None
    function_call: FunctionCall | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(_Wire):
    finish_reason: FinishReason
    index: Count
    logprobs: Annotated[Logprobs | None, Expected] = None
    message: Message


class _Envelope(_Wire):
    id: Text
    created: Annotated[int, Field(gt=0)]
    model: Text
    moderation: dict[str, Any] | None = None
    service_tier: ServiceTier | None = None
    system_fingerprint: str | None = None


class ChatCompletion(_Envelope):
    choices: Annotated[list[Choice], Field(min_length=1)]
    object: Literal["chat.completion"]
    metadata: dict[str, str] | None = None
    usage: Annotated[Usage | None, Expected] = None


class FunctionCallDelta(_Wire):
    arguments: str | None = None
    name: str | None = None


class ToolCallDelta(_Wire):
    index: Count
    id: str | None = None
    function: FunctionCallDelta | None = None
    type: Literal["function"] | None = None


class AudioDelta(_Wire):
    id: str | None = None
    data: str | None = None
    expires_at: int | None = None
    transcript: str | None = None


class Delta(_Wire):
    audio: AudioDelta | None = None
    content: str | None = None
    function_call: FunctionCallDelta | None = None
    refusal: str | None = None
    role: Literal["developer", "system", "user", "assistant", "tool"] | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(_Wire):
    delta: Delta
    finish_reason: Annotated[FinishReason | None, Expected] = None
    index: Count
    logprobs: Logprobs | None = None


class ChatCompletionChunk(_Envelope):
    choices: list[ChunkChoice]
    object: Literal["chat.completion.chunk"]
    obfuscation: str | None = None
    usage: Usage | None = None


class ErrorDetail(_Wire):
    code: str | None
    message: Text
    param: str | None
    type: Text


class ErrorBody(_Wire):
    error: ErrorDetail
