"""What a rule sees beside the messages, and what a rule is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.domain import Message, TemplateTraits, ToolUse


@dataclass(frozen=True, slots=True)
class Context:
    """What the model's template can take, and the tools of this turn."""

    traits: TemplateTraits
    tool_use: ToolUse | None = None


Messages = tuple[Message, ...]
Rule = Callable[[Messages, Context], Messages]
"""Gives back what it was given where it does not apply. Its name and docstring are a row of `docs/normalization.md`."""


def joined(texts: Iterable[str], separator: str) -> str:
    """The texts that are not empty, each untouched."""
    return separator.join(filter(None, texts))
