"""The project's terms, as types. This module imports no other module of the project.

A type proves which steps a turn has passed:

- `Caller`: authenticated.
- `ChatJob`: validated and normalized; only `normalize` makes it.
- `PreparedTurn`: rendered and tokenized; only an engine's `prepare` makes it.

The engine then returns a sequence of steps. A `Step` holds the events of one engine output.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant", "tool"]
TOKENS_PER_BYTE = 0.25
"""Tokens per byte of English prose in most vocabularies: the estimate for a tenant whose own ratio is not measured yet."""
FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """The limits, weight and priority of one tenant. None means that the tenant has no limit of this kind."""

    weight: float = 1.0
    """The tenant's share of the engine under load, relative to the weights of the other tenants with the same priority."""
    priority: int = 0
    """Priority class. A waiting turn of a higher priority always goes first."""
    max_turns: int | None = None
    """Maximum number of turns in progress at once."""
    requests_per_min: int | None = None
    """Maximum number of turns begun per minute."""
    tokens_per_min: int | None = None
    """Maximum number of prompt and completion tokens per minute, together."""
    ttft_budget_s: float | None = None
    """TTFT budget in seconds. None means the service's own budget."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated sender of a request. `tenants.auth` makes it from a valid key."""

    tenant: str
    cache_salt: str | None = None
    """Separates this tenant's prefix cache from those of other tenants. None means a shared prefix cache."""
    policy: TenantPolicy = TenantPolicy()


class Stage(NamedTuple):
    """One stage of a turn, from `begin_s` to `end_s` in monotonic seconds."""

    name: str
    begin_s: float
    end_s: float


@dataclass(slots=True)
class Arrival:
    """A request as it was received. Times are monotonic seconds."""

    body: bytes
    at_s: float
    """When the headers had been received."""
    stages: tuple[Stage, ...] = ()
    """The stages until the whole body had been received."""
    trace_headers: Mapping[str, str] = field(default_factory=dict)
    """The caller's W3C trace context headers; empty if it sent none."""
    asked_budget: str | None = None
    """Value of the TTFT budget header, not parsed yet. None means that the header is absent."""
    asked_frames: str | None = None
    """Value of the header that says how to split a stream into frames, not parsed yet. None means that it is absent."""
    gone_s: float | None = None
    """When the caller hung up. None while it is connected. `api.request_body.until_disconnect` sets it."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that the model made earlier in the conversation. `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation. Its content is plain text.

    Only an assistant message has `tool_calls`. Only a `tool` message has `tool_call_id`: the call that it answers.
    """

    role: Role
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str = ""
    """What an assistant thought before it wrote the content. Most templates drop it."""

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that make up most of the prompt: content, reasoning and tool call arguments."""
        return self.content, self.reasoning, *(call.arguments for call in self.tool_calls)

    @property
    def size_bytes(self) -> int:
        """UTF-8 bytes of `texts`. Bytes predict tokens better than characters do."""
        return sum(len(text.encode(errors="replace")) for text in self.texts)


@dataclass(frozen=True, slots=True)
class CallForm:
    """How tool calls look in the model's own output. It is used where the template cannot show them."""

    written: Callable[[Sequence[ToolCall]], str]
    """Returns the text of all calls of one message. Their arguments are JSON objects."""
    instructions: str
    """Tells the model how to call a function. It follows the list of the tools."""


@dataclass(frozen=True, slots=True)
class TemplateTraits:
    """What the model's chat template supports, found by rendering test conversations. `normalize` changes messages to fit it."""

    takes_system: bool = True
    """The template renders a system message at the start of a conversation that ends with a user message or with tool results."""
    takes_late_system: bool = True
    """The template accepts a system message after the first message, or a second system message."""
    takes_names: bool = True
    """The template renders the `name` of a message."""
    takes_repeated_roles: bool = True
    """The template accepts two messages of the same role in a row."""
    takes_assistant_first: bool = True
    """The template accepts a conversation that begins with an assistant message, without tools."""
    takes_no_user: bool = True
    """The template accepts a conversation without a user message, without tools."""
    takes_assistant_last: bool = True
    """The template renders a conversation that ends with an assistant message, and all of it. mistral-common refuses it."""
    takes_tools: bool = True
    """The template renders `tools`, the functions that are offered."""
    takes_calls: bool = True
    """The template renders an assistant's `tool_calls`, and messages of role `tool`. LFM2 renders only the latter."""
    takes_results: bool = True
    """The template renders messages of role `tool`, with or without the calls before them."""
    takes_reasoning: bool = True
    """The template renders the `reasoning` of an assistant message, at least between the last user message and the answer."""
    takes_any_opening_with_tools: bool = True
    """With tools, the template accepts a conversation that does not begin with a user message. Llama 3 treats the first message
    as the user's, whatever its role.
    """
    takes_parallel_calls: bool = True
    """The template accepts several tool calls in one message. Llama 3 refuses them."""
    takes_text_beside_calls: bool = True
    """The template renders the content of a message that has tool calls. Llama 3 and Mistral drop it."""
    takes_text_before_calls: bool = True
    """The template accepts an assistant's text in the message directly before its tool calls. mistral-common v3 joins the two
    messages, and refuses text beside calls.
    """
    takes_unpaired_calls: bool = True
    """The template accepts a tool call without a result, and two results of one call. mistral-common refuses both."""
    takes_any_call_id: bool = True
    """The template accepts tool call IDs of any form. Mistral requires nine letters or digits."""
    shows_called_names: bool = True
    """The template renders the name of a called function. Kimi K2 renders only the call's ID, which then must have the name."""
    takes_nameless_results: bool = True
    """The template renders a message of role `tool` without `name`. FunctionGemma refuses it."""
    takes_late_results: bool = True
    """The template accepts a message of role `tool` that does not directly follow its call or another result."""
    call_form: CallForm | None = None
    """How the model writes calls, where the template does not show them. None means Hermes' form."""
    control_marks: frozenset[str] = frozenset()
    """Texts that the tokenizer or the model reads as structure: special tokens, and the template's own marks around messages."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call. `parameters` is a JSON schema."""

    name: str
    description: str | None
    parameters: Mapping[str, Any]
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools of a turn, and which of them the model may or must call."""

    tools: tuple[Tool, ...]
    choice: Literal["auto", "none", "required", "named"]
    named: str | None = None
    is_parallel: bool = True


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The answer is JSON. The engine constrains it while it generates."""

    json_schema: Mapping[str, Any] | None
    """The schema that the answer must match. None means any JSON object."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampling parameters that the caller asked for. None means the model's default."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    min_tokens: int = 0
    ignore_eos: bool = False
    n: int = 1
    top_logprobs: int | None = None
    """Number of alternatives to return with each token's log probability. None means no log probabilities."""


Thinking = Literal["off", "auto", "on"]
"""Whether the model thinks before it answers. `auto` leaves it to the chat template's own default."""


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """How prompts are made, for the service or for one adapter. An adapter's setting that is not given is the service's."""

    thinking: Thinking | None = None
    template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Variables for the chat template."""
    chat_template: str | None = None
    """Source of a chat template. None means the model's own."""


NO_PROMPT_SETTINGS = PromptSettings()


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter that the engine has loaded. `id` is the engine's own number for it, from 1."""

    name: str
    path: str
    id: int
    prompts: PromptSettings = field(default=NO_PROMPT_SETTINGS, compare=False)
    traits: TemplateTraits | None = field(default=None, compare=False)
    """Traits of the adapter's own chat template. None means that it has the model's."""


@dataclass(frozen=True, slots=True)
class ChatJob:
    """A request after validation and normalization."""

    turn_id: str
    tenant: str
    model: str
    """The name that the caller used: the model's, an alias, or an adapter's."""
    messages: tuple[Message, ...]
    sampling: Sampling
    max_tokens: int | None
    """Maximum completion tokens per choice. None means as many as the context length leaves."""
    is_stream: bool
    include_usage: bool
    created: int
    """Unix time in seconds: the `created` field of the answer."""
    adapter: Adapter | None = None
    tool_use: ToolUse | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    template_kwargs: Mapping[str, Any] | None = None
    """The request's `chat_template_kwargs`: variables for the model's own template."""
    cache_salt: str | None = None
    """Turns share a prefix cache only if this is equal. It comes from the tenant, never from the request."""
    is_legacy_functions: bool = False
    """The request used `functions`, so the answer returns a call as `function_call`."""
    wants_service_tier: bool = False
    rules: tuple[str, ...] = ()
    """Names of the normalization rules that changed the conversation."""

    @property
    def prompt_chars(self) -> int:
        """Characters of all messages, reasoning and tool call arguments. It is known before any template or tokenizer work."""
        return sum(len(text) for message in self.messages for text in message.texts)

    @property
    def prompt_bytes(self) -> int:
        """UTF-8 bytes of all messages, reasoning and tool call arguments."""
        return sum(message.size_bytes for message in self.messages)

    @property
    def likely_prompt_tokens(self) -> int:
        """Prompt tokens, estimated from the bytes of the messages. Tools and the template's own text are not included."""
        return max(1, int(self.prompt_bytes * TOKENS_PER_BYTE))

    @property
    def continues_call(self) -> bool:
        """True if this is not the first turn of a call: it has several user messages, or a tool result."""
        users = sum(message.role == "user" for message in self.messages)
        return users > 1 or any(message.role == "tool" for message in self.messages)


@dataclass(slots=True)
class Generated:
    """What the engine has generated for a turn so far. The engine updates it with each step. A step may hold several tokens."""

    tokens: int = 0
    """Completion tokens of all choices."""
    dropped_calls: list[str] = field(default_factory=list)
    """Tool calls of the model that were not passed on, by reason: `malformed` or `unknown_function`."""


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """A turn that the engine can start at once."""

    job: ChatJob
    prompt_tokens: int
    max_tokens: int
    """Maximum completion tokens per choice: the requested number, or less if the context length ends first."""
    payload: object
    """Data for the engine that prepared the turn. No other code reads it."""
    generated: Generated = field(default_factory=Generated)


@dataclass(frozen=True, slots=True)
class EngineStep:
    """Measurements of one engine step, in which each running turn moves on by a token or by a piece of its prompt."""

    at_s: float
    """When the step ended, in monotonic seconds."""
    prefilled_tokens: int
    """Prompt tokens that were computed, not found in the prefix cache, for the turns whose prefill ended with this step."""
    generated_tokens: int
    """Completion tokens that the step produced, of all turns."""
    running: int
    """Number of turns in the batch."""
    waiting: int
    """Number of turns in the engine's own queue."""
    kv_usage: float
    """Used share of the KV cache, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one turn."""

    prompt_tokens: int
    completion_tokens: int
    """Completion tokens of all choices."""
    cached_tokens: int
    """Prompt tokens that the engine found in its prefix cache."""
    reasoning_tokens: int = 0
    """Completion tokens that are reasoning, not content."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token with its natural log probability, and the most likely tokens at its position."""

    token: str
    logprob: float
    token_bytes: bytes
    top: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """New text of one choice. It may hold several tokens. It is empty only if it carries log probabilities."""

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """New reasoning text of one choice. It is not part of the content, so an agent does not speak it."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call. Only the first piece of a call has `id` and `name`."""

    index: int
    call: int
    """Index of the call within the choice, from 0."""
    arguments: str
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ChoiceFinished:
    """One choice has ended."""

    index: int
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Finished:
    """The turn has ended. This is its last event."""

    usage: Usage


Event = TextDelta | ReasoningDelta | ToolCallDelta | ChoiceFinished | Finished
Step = Sequence[Event]
"""The events of one turn from one engine output, in order. It may be empty: a token can be half a character."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The served model and its bounds."""

    name: str
    created: int
    max_model_len: int
    """Maximum tokens of prompt and completion together."""
    max_chars_per_token: int
    """Length of the longest token, in characters. A longer prompt than this times `max_model_len` cannot fit."""
    fingerprint: str
    """A hash of everything that can change an answer: model, revision, engine, engine arguments."""
    engine: str = ""
    """Name and version of the engine."""
    revision: str = "local"
    """Revision of the model's weights; `local` if it has none."""
    traits: TemplateTraits = TemplateTraits()
    unproven: str = ""
    """Why the format of tool calls or thoughts is not proven. Empty if it is."""


class Outcome(StrEnum):
    """How a turn ended.

    `late` means that the caller got its first word after the TTFT budget, or hung up after the budget without one.
    """

    ON_TIME = "on_time"
    LATE = "late"
    REFUSED_CAPACITY = "refused_capacity"
    REFUSED_LIMIT = "refused_limit"
    CLIENT_ERROR = "client_error"
    CANCELLED = "cancelled"
    FAILED = "failed"
