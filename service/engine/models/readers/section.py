"""A section of an answer that holds tool calls, from its opening mark to its end. One reader for each kind of syntax."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from service.engine.models.readers.parts import End, Offered

MAX_HEADER = 400
"""Longest text before a call's arguments, in characters: a name has at most 64, an ID about as many."""


@dataclass(frozen=True, slots=True)
class RawCall:
    """A tool call as the model wrote it. `arguments` is None if no object can be made of its text."""

    name: str
    arguments: dict[str, Any] | None
    id: str | None = None
    prefix: str | None = None
    """The beginning of the arguments' JSON text, if the token limit ended the answer inside the call."""


@dataclass(slots=True)
class Found:
    """What a section reader found in the text so far."""

    consumed: int = 0
    """Number of characters that are read. The rest is given again, with more text."""
    calls: list[RawCall] = field(default_factory=list)
    state: Literal["more", "over", "text", "lost"] = "more"
    """`more`: the section goes on. `over`: it has ended, and the text after it is content. `text`: this was no section, so its
    text is content. `lost`: what follows begins no call, and no call came before.
    """


class SectionReader(Protocol):
    """Reads one section. It keeps state, so each section needs its own."""

    def read(self, text: str, end: End | None) -> Found:
        """Read on. `text` begins after the opening mark, or after what was consumed. `end` is set when no text will follow."""
        ...


class SteppedSection:
    """A section reader that goes from step to step: each reads on, and returns whether the next one can."""

    _step: Callable[[str, End | None, Found], bool]

    def read(self, text: str, end: End | None) -> Found:
        found = Found()
        while found.state == "more" and self._step(text, end, found):
            pass
        return found


class CallSyntax(Protocol):
    """How a family writes tool calls. A row of the table of formats makes one."""

    @property
    def opens(self) -> str:
        """Regular expression of the marks that begin a section."""
        ...

    @property
    def bare_opens(self) -> str:
        """Regular expression of what begins a section without a mark. It can also be ordinary text. Empty if there is none."""
        ...

    @property
    def endings(self) -> str:
        """Regular expression of the marks that end a section or a call."""
        ...

    @property
    def noise(self) -> str:
        """Regular expression of those that are not spoken where they stand alone, after a section was over without them."""
        ...

    def reader(self, mark: str, offered: Offered, *, is_bare: bool) -> SectionReader:
        """Return a reader for a section that begins with this mark. `is_bare`: it begins without one."""
        ...
