"""Applies the rules of `rules.py`: a request's messages become messages that the model's template supports."""

from collections.abc import Sequence

from service.domain import Message, TemplateTraits, ToolUse
from service.normalize.context import Context
from service.normalize.drafts import read, settle
from service.normalize.rules import READING_RULES, RULES
from service.schema.messages import ChatMessage


def normalize_messages(
    messages: Sequence[ChatMessage], traits: TemplateTraits, tool_use: ToolUse | None
) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Return the messages (at least one), and the names of the rules that changed something, in order. Never refuses."""
    changed_by: list[str] = []
    drafts = tuple(map(read, messages))
    for reading_rule in READING_RULES:
        before, drafts = drafts, reading_rule(drafts)
        if drafts != before:
            changed_by.append(reading_rule.__name__)
    settled = settle(drafts)
    context = Context(traits, tool_use)
    for rule in RULES:
        given, settled = settled, rule(settled, context)
        if settled != given:
            changed_by.append(rule.__name__)
    return settled, tuple(changed_by)
