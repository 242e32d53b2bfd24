"""The type of a rule, and what a rule gets besides the messages."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.domain import Message, TemplateTraits, ToolUse

SILENCE = "..."
"""Text of a message that the template requires but the request does not have. Templates refuse or drop an empty text."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the model's chat template supports, and the tools of this turn."""

    traits: TemplateTraits
    tool_use: ToolUse | None = None


Messages = tuple[Message, ...]
Rule = Callable[[Messages, Context], Messages]
"""A rule returns the same messages if it does not apply. Its name and docstring are a row of `docs/normalization.md`."""


def joined(texts: Iterable[str], separator: str) -> str:
    """Join the texts that are not empty. No text is changed."""
    return separator.join(filter(None, texts))
