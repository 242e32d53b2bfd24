"""The words of the project, as frozen types. Imports nothing of ours.

A type proves how far a turn has come: `Caller` (authenticated), `ChatJob` (validated and normalized; made only by
`normalize`), `PreparedTurn` (rendered and tokenized; made only by an engine's `prepare`). What comes back is a
sequence of steps, each the events of one engine output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

Role = Literal["system", "user", "assistant", "tool"]
TOKENS_PER_BYTE = 0.25
"""Of English prose in most vocabularies: what a prompt's tokens are estimated by before anything is learned of its tenant."""
FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class TenantPolicy:
    """What one tenant may ask of the service, and how it stands beside the others. None: no limit of its own."""

    weight: float = 1.0
    """Share of the room under load, in proportion to the weights of the other tenants of its priority."""
    priority: int = 0
    """Class of precedence: a waiting turn of a higher one always goes first."""
    max_turns: int | None = None
    """Turns in progress at once."""
    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    """Prompt and completion tokens together."""
    ttft_budget_s: float | None = None
    """Seconds; None: the service's."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. Made by `auth`, from a valid key."""

    tenant: str
    cache_salt: str | None = None
    """Keeps this tenant's prefix cache apart from the others'; None: shared."""
    policy: TenantPolicy = TenantPolicy()


class Stage(NamedTuple):
    """A part of a turn's way, in monotonic seconds."""

    name: str
    begin_s: float
    end_s: float


@dataclass(slots=True)
class Arrival:
    """A request as it came in. Times are monotonic seconds."""

    body: bytes
    at_s: float
    """When its headers were here."""
    stages: tuple[Stage, ...] = ()
    """What it has passed until its body was whole."""
    trace_headers: Mapping[str, str] = field(default_factory=dict)
    """The caller's trace context (W3C), as far as it sent one."""
    asked_budget: str | None = None
    """Its own time-to-first-token budget, as its header says it."""
    asked_frames: str | None = None
    """How it wants a stream cut into frames, as its header says it."""
    gone_s: float | None = None
    """When its caller hung up; None while there is one. Written by who watches the connection."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made, as the history tells it. `arguments` is JSON, as text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation, content already plain text.

    `tool_calls` are an assistant's; `tool_call_id` is of a `tool` message: the call it answers.
    """

    role: Role
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def size_bytes(self) -> int:
        """UTF-8 bytes of what it says: nearer to tokens, over all scripts, than characters are."""
        texts = (self.content, *(call.arguments for call in self.tool_calls))
        return sum(len(text.encode(errors="replace")) for text in texts)


@dataclass(frozen=True, slots=True)
class TemplateTraits:
    """What the model's chat template can take, found out by trying (`normalize` bends the messages to it)."""

    takes_system: bool = True
    """Shows a first system message, wherever the conversation ends."""
    takes_late_system: bool = True
    """A system message after the first message, or a second one."""
    takes_names: bool = True
    """Shows a message's `name`."""
    takes_repeated_roles: bool = True
    """Two messages of one role in a row."""
    takes_assistant_first: bool = True
    """A conversation that the assistant opens, without tools."""
    takes_no_user: bool = True
    """A conversation without any user message, without tools."""
    takes_tools: bool = True
    """The template shows `tools` to the model, an assistant's `tool_calls`, and messages of role `tool`."""
    takes_any_opening_with_tools: bool = True
    """With tools, a conversation not opened by the user. Llama 3 takes the first message for the user's, whoever said it."""
    takes_parallel_calls: bool = True
    """Several calls in one message. Llama 3 refuses."""
    takes_text_beside_calls: bool = True
    """Shows the content of a message that has calls. Llama 3 and Mistral drop it."""
    takes_any_call_id: bool = True
    """Ids of any form. Mistral wants nine letters or digits."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None
    parameters: Mapping[str, Any]
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools of a turn, and which may or must be called."""

    tools: tuple[Tool, ...]
    choice: Literal["auto", "none", "required", "named"]
    named: str | None = None
    is_parallel: bool = True


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """JSON, constrained while it is generated: any object, or what a schema allows."""

    json_schema: Mapping[str, Any] | None
    """None: any JSON object."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What the caller asked of the sampler. `None` means the model's default."""

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
    """Alternatives to show beside each token's own log probability; None: no log probabilities."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter that the engine has loaded; `id` is the engine's own number for it, from 1."""

    name: str
    path: str
    id: int


@dataclass(frozen=True, slots=True)
class ChatJob:
    """A turn that may run: the request after validation and normalization."""

    turn_id: str
    tenant: str
    model: str
    """The name the caller used: the model's, an alias, or an adapter's."""
    messages: tuple[Message, ...]
    sampling: Sampling
    max_tokens: int | None
    """Completion tokens at most, per choice; None: as many as the context holds."""
    is_stream: bool
    include_usage: bool
    created: int
    """Unix time, seconds: the `created` of the answer."""
    adapter: Adapter | None = None
    tool_use: ToolUse | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    template_kwargs: Mapping[str, Any] | None = None
    """The request's `chat_template_kwargs`: variables of the model's own template."""
    cache_salt: str | None = None
    """Turns share a prefix cache only where this is the same: set from the tenant, never by the caller."""
    is_legacy_functions: bool = False
    """Asked with `functions`: a call is answered as `function_call`."""
    wants_service_tier: bool = False
    rules: tuple[str, ...] = ()
    """Names of the normalization rules that changed something."""

    @property
    def prompt_chars(self) -> int:
        """Characters of all messages: what can be known of the prompt before any template or tokenizer work."""
        calls = (call.arguments for message in self.messages for call in message.tool_calls)
        return sum(len(message.content) for message in self.messages) + sum(map(len, calls))

    @property
    def prompt_bytes(self) -> int:
        return sum(message.size_bytes for message in self.messages)

    @property
    def likely_prompt_tokens(self) -> int:
        """Prompt tokens by the bytes of the messages alone. Tools and the template's own words are not in it."""
        return max(1, int(self.prompt_bytes * TOKENS_PER_BYTE))

    @property
    def continues_call(self) -> bool:
        """Not the first turn of a call: the caller has spoken before, or a tool has answered."""
        users = sum(message.role == "user" for message in self.messages)
        return users > 1 or any(message.role == "tool" for message in self.messages)


@dataclass(slots=True)
class Generated:
    """What a turn's engine has made of it so far. Written by the engine with each step; steps may hold several tokens."""

    tokens: int = 0
    """Completion tokens, of all choices."""


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """A turn the engine can start at once."""

    job: ChatJob
    prompt_tokens: int
    max_tokens: int
    """Completion tokens at most, per choice: what was asked, or less where the context ends first."""
    payload: object
    """What the engine that made it needs to run it. Opaque to everyone else."""
    generated: Generated = field(default_factory=Generated)


@dataclass(frozen=True, slots=True)
class EngineStep:
    """What an engine says of one step: every running turn moved on by a token, or by a piece of its prompt."""

    at_s: float
    """When it ended, monotonic seconds."""
    prefilled_tokens: int
    """Prompt tokens computed (not found in the cache), of the turns whose prefill ended with this step."""
    generated_tokens: int
    running: int
    """Turns in the batch."""
    waiting: int
    """Turns in the engine's own queue."""
    kv_usage: float
    """The used part of the KV cache, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one turn; `completion_tokens` over all choices, `cached_tokens` the part of the prompt not recomputed,
    `reasoning_tokens` the part of the completion that is thought, not said.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token with its log probability (natural), and the likeliest tokens at its place."""

    token: str
    logprob: float
    token_bytes: bytes
    top: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """New text of one choice; may hold several tokens. Empty only where it carries log probabilities."""

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """New thoughts of one choice: shown, never spoken."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call; `id` and `name` come once, with a call's first piece."""

    index: int
    call: int
    """Which call of the choice, from 0."""
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
    """The turn has ended: its last event."""

    usage: Usage


Event = TextDelta | ReasoningDelta | ToolCallDelta | ChoiceFinished | Finished
Step = Sequence[Event]
"""The events of one engine output, in order. May be empty: a token can be half a character."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is served, and its bounds."""

    name: str
    created: int
    max_model_len: int
    """Tokens of prompt and completion together."""
    max_chars_per_token: int
    """The longest text one token can stand for: more characters than this times max_model_len cannot fit."""
    fingerprint: str
    """Changes with whatever could change an answer: model, revision, engine, arguments."""
    engine: str = ""
    """Whose steps these are, with its version."""
    revision: str = "local"
    """Of the model, where it has one."""
    traits: TemplateTraits = TemplateTraits()


class Outcome(StrEnum):
    """How a turn ended. `late`: its first word came after the TTFT budget."""

    ON_TIME = "on_time"
    LATE = "late"
    REFUSED_CAPACITY = "refused_capacity"
    REFUSED_LIMIT = "refused_limit"
    CLIENT_ERROR = "client_error"
    CANCELLED = "cancelled"
    FAILED = "failed"
