"""What arrived, half read: the wire's message in one flat form, and the rules that make a `Message` of it."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal

from service.domain import Message, ToolCall
from service.schema.messages import (
    AssistantMessage,
    CalledFunction,
    ChatMessage,
    RefusalPart,
    TextPart,
    ToolMessage,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that may still have OpenAI's other forms: roles of two generations, content in parts or null."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | tuple[TextPart | RefusalPart, ...] | None
    name: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    function_call: CalledFunction | None = None
    tool_call_id: str | None = None


Drafts = tuple[Draft, ...]
ReadingRule = Callable[[Drafts], Drafts]


def read(message: ChatMessage) -> Draft:
    """The message as it arrived; nothing is decided yet."""
    content = tuple(message.content) if isinstance(message.content, list) else message.content
    draft = Draft(message.role, content, name=message.name or None)
    match message:
        case AssistantMessage():
            calls = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ())
            # Some servers say a call in both forms; the newer one has the id that its result names.
            function_call = None if calls else message.function_call
            return replace(draft, refusal=message.refusal, tool_calls=calls, function_call=function_call)
        case ToolMessage():
            return replace(draft, tool_call_id=message.tool_call_id)
        case _:
            return draft


def settle(drafts: Drafts) -> tuple[Message, ...]:
    """Drafts that every reading rule has seen -> messages."""
    return tuple(map(_settled, drafts))


def _settled(draft: Draft) -> Message:
    assert draft.role != "developer", "a rule has left a role"
    assert draft.role != "function", "a rule has left a role"
    assert isinstance(draft.content, str), "a rule has left content"
    return Message(draft.role, draft.content, draft.name, draft.tool_calls, draft.tool_call_id)


def developer_role(drafts: Drafts) -> Drafts:
    """`developer` becomes `system`, the name that templates know."""
    return tuple(replace(draft, role="system") if draft.role == "developer" else draft for draft in drafts)


def refusal_text(drafts: Drafts) -> Drafts:
    """An assistant's refusal, as a part or as a field, becomes text of its content: it is what the model said."""
    return tuple(map(_with_refusal_said, drafts))


def _with_refusal_said(draft: Draft) -> Draft:
    parts = draft.content if isinstance(draft.content, tuple) else ()
    if not draft.refusal and not any(isinstance(part, RefusalPart) for part in parts):
        return draft
    if isinstance(draft.content, str) and draft.content:
        parts = (_text_part(draft.content),)
    said = [_text_part(part.refusal) if isinstance(part, RefusalPart) else part for part in parts]
    if draft.refusal:
        said.append(_text_part(draft.refusal))
    return replace(draft, content=said[0].text if len(said) == 1 else tuple(said), refusal=None)


def _text_part(text: str) -> TextPart:
    return TextPart(type="text", text=text)


def content_parts(drafts: Drafts) -> Drafts:
    """Content in parts becomes one text, the parts joined by a newline."""
    return tuple(
        replace(draft, content="\n".join(_texts(draft.content))) if isinstance(draft.content, tuple) else draft
        for draft in drafts
    )


def _texts(parts: Iterable[TextPart | RefusalPart]) -> Iterable[str]:
    return (part.text if isinstance(part, TextPart) else part.refusal for part in parts)


def null_content(drafts: Drafts) -> Drafts:
    """Content that is null or missing becomes an empty text."""
    return tuple(replace(draft, content="") if draft.content is None else draft for draft in drafts)


def function_messages(drafts: Drafts) -> Drafts:
    """The older `function_call` and role `function` become `tool_calls` and role `tool`, with ids `call_0`, `call_1`, …"""
    if not any(draft.function_call or draft.role == "function" for draft in drafts):
        return drafts
    taken = {call.id for draft in drafts for call in draft.tool_calls} | {draft.tool_call_id for draft in drafts}
    free_ids = (call_id for number in count() if (call_id := f"call_{number}") not in taken)
    unanswered: dict[str | None, deque[str]] = defaultdict(deque)  # Ids of calls, by function.
    return tuple(_as_tool_message(draft, free_ids, unanswered) for draft in drafts)


def _as_tool_message(draft: Draft, free_ids: Iterator[str], unanswered: dict[str | None, deque[str]]) -> Draft:
    if draft.function_call:
        call = ToolCall(next(free_ids), draft.function_call.name, draft.function_call.arguments)
        unanswered[call.name].append(call.id)
        return replace(draft, function_call=None, tool_calls=(call,))
    if draft.role == "function":
        waiting = unanswered[draft.name]
        return replace(draft, role="tool", tool_call_id=waiting.popleft() if waiting else next(free_ids))
    return draft
