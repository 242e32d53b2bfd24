"""The words of the project, as frozen types. Imports nothing of ours.

A type proves how far a turn has come: `Caller` (authenticated), `ChatJob` (validated and normalized; made only by
`normalize`), `PreparedTurn` (rendered and tokenized; made only by an engine's `prepare`). What comes back is a
sequence of steps, each the events of one engine output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. Made by `auth`, from a valid key."""

    tenant: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation, content already plain text."""

    role: Role
    content: str


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
    min_tokens: int = 0
    ignore_eos: bool = False
    n: int = 1


@dataclass(frozen=True, slots=True)
class ChatJob:
    """A turn that may run: the request after validation and normalization."""

    turn_id: str
    tenant: str
    model: str
    messages: tuple[Message, ...]
    sampling: Sampling
    max_tokens: int | None
    """Completion tokens at most, per choice; None: as many as the context holds."""
    is_stream: bool
    include_usage: bool
    created: int
    """Unix time, seconds: the `created` of the answer."""

    @property
    def prompt_chars(self) -> int:
        """Characters of all messages: what can be known of the prompt before any template or tokenizer work."""
        return sum(len(message.content) for message in self.messages)


@dataclass(frozen=True, slots=True)
class PreparedTurn:
    """A turn the engine can start at once."""

    job: ChatJob
    prompt_tokens: int
    max_tokens: int
    """Completion tokens at most, per choice: what was asked, or less where the context ends first."""
    payload: object
    """What the engine that made it needs to run it. Opaque to everyone else."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one turn; `completion_tokens` over all choices, `cached_tokens` the part of the prompt not recomputed."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """New text of one choice. Never empty; may hold several tokens."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class ChoiceFinished:
    """One choice has ended."""

    index: int
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Finished:
    """The turn has ended: its last event."""

    usage: Usage


Event = TextDelta | ChoiceFinished | Finished
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


class Outcome(StrEnum):
    """How a turn ended. `late`: its first word came after the TTFT budget."""

    ON_TIME = "on_time"
    LATE = "late"
    REFUSED_CAPACITY = "refused_capacity"
    REFUSED_LIMIT = "refused_limit"
    CLIENT_ERROR = "client_error"
    CANCELLED = "cancelled"
    FAILED = "failed"
