"""What an answer consists of: content, thoughts and tool calls. A reader makes these parts from the model's text."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal


class Drop(StrEnum):
    """Why a tool call of the model is not passed on."""

    MALFORMED = "malformed"
    UNKNOWN_FUNCTION = "unknown_function"


@dataclass(frozen=True, slots=True)
class Content:
    """Text that the agent speaks."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning of the model. It is not spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. `arguments` is the text of one JSON object, or a prefix of it if `is_cut`."""

    name: str
    arguments: str
    id: str | None = None
    """The model's own ID of the call, where its template needs the same ID in the history."""
    is_cut: bool = False
    """The token limit ended the answer inside this call."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A tool call that cannot be passed on."""

    reason: Drop


Part = Content | Thought | Call | Dropped
End = Literal["stop", "length"]
"""Why generation ended: by itself, or by the token limit."""


@dataclass(frozen=True, slots=True)
class Offered:
    """The functions that the model may call in this turn, by name, with the JSON schema of their parameters."""

    functions: Mapping[str, Mapping[str, Any]]
    max_calls: int | None = None
    """Maximum number of calls in one answer. Further calls are ignored. None means no maximum."""
    forced: Literal["list", "arguments"] | None = None
    """How a constraint holds a forced call, if not in the model's own syntax: a JSON list of calls, or only the arguments of
    the single function.
    """

    def resolve(self, name: str) -> str | None:
        """Return the offered name that a model's spelling means, or None. Some models write a namespace before the name."""
        name = name.strip()
        if name in self.functions:
            return name
        bare = name.rpartition(".")[2]
        return bare if bare in self.functions else None


NOTHING_OFFERED = Offered({})
