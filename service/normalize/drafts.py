"""Drafts: the request's messages in one flat form, and the reading rules that make a `Message` of each."""

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

_THINK, _END_OF_THINK = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that may still have OpenAI's other forms: roles of two API generations, and content in parts or null."""

    role: Literal["developer", "system", "user", "assistant", "tool", "function"]
    content: str | tuple[TextPart | RefusalPart, ...] | None
    name: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    function_call: CalledFunction | None = None
    tool_call_id: str | None = None
    reasoning: str = ""


Drafts = tuple[Draft, ...]
ReadingRule = Callable[[Drafts], Drafts]


def read(message: ChatMessage) -> Draft:
    """Return the draft of a message. No rule is applied yet."""
    content = tuple(message.content) if isinstance(message.content, list) else message.content
    draft = Draft(message.role, content, name=message.name or None)
    match message:
        case AssistantMessage():
            calls = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ())
            # Some servers send a call in both forms. The newer form has the id that the call's result names.
            function_call = None if calls else message.function_call
            reasoning = message.reasoning_content or message.reasoning or ""
            return replace(draft, refusal=message.refusal, tool_calls=calls, function_call=function_call, reasoning=reasoning)
        case ToolMessage():
            return replace(draft, tool_call_id=message.tool_call_id)
        case _:
            return draft


def settle(drafts: Drafts) -> tuple[Message, ...]:
    """Turn drafts into messages. Every reading rule must have been applied."""
    return tuple(map(_settled, drafts))


def _settled(draft: Draft) -> Message:
    assert draft.role != "developer", "developer_role must replace this role"
    assert draft.role != "function", "function_messages must replace this role"
    assert isinstance(draft.content, str), "content_parts and null_content must replace other content"
    return Message(draft.role, draft.content, draft.name, draft.tool_calls, draft.tool_call_id, draft.reasoning)


def developer_role(drafts: Drafts) -> Drafts:
    """The role `developer` becomes `system`, which templates support."""
    return tuple(replace(draft, role="system") if draft.role == "developer" else draft for draft in drafts)


def refusal_text(drafts: Drafts) -> Drafts:
    """An assistant's refusal, in a part or in a field, becomes text of its content, because the model said it."""
    return tuple(map(_with_refusal_as_text, drafts))


def _with_refusal_as_text(draft: Draft) -> Draft:
    parts = draft.content if isinstance(draft.content, tuple) else ()
    if not draft.refusal and not any(isinstance(part, RefusalPart) for part in parts):
        return draft
    if isinstance(draft.content, str) and draft.content:
        parts = (_text_part(draft.content),)
    texts = [_text_part(part.refusal) if isinstance(part, RefusalPart) else part for part in parts]
    if draft.refusal:
        texts.append(_text_part(draft.refusal))
    return replace(draft, content=texts[0].text if len(texts) == 1 else tuple(texts), refusal=None)


def _text_part(text: str) -> TextPart:
    return TextPart(type="text", text=text)


def content_parts(drafts: Drafts) -> Drafts:
    """Content in parts becomes one text. The parts are joined with a newline."""
    return tuple(
        replace(draft, content="\n".join(_texts(draft.content))) if isinstance(draft.content, tuple) else draft
        for draft in drafts
    )


def _texts(parts: Iterable[TextPart | RefusalPart]) -> Iterable[str]:
    return (part.text if isinstance(part, TextPart) else part.refusal for part in parts)


def null_content(drafts: Drafts) -> Drafts:
    """Content that is null or missing becomes an empty text."""
    return tuple(replace(draft, content="") if draft.content is None else draft for draft in drafts)


def thoughts(drafts: Drafts) -> Drafts:
    """Thoughts at the start of an assistant's content, as `<think>…</think>`, become its reasoning. Without `</think>` they stay
    content.
    """
    return tuple(map(_without_thoughts, drafts))


def _without_thoughts(draft: Draft) -> Draft:
    if draft.role != "assistant" or not isinstance(draft.content, str):
        return draft
    start, opening, rest = draft.content.partition(_THINK)
    thought, closing, said = rest.partition(_END_OF_THINK)
    if start.strip() or not opening or not closing:
        return draft
    thought = thought.strip("\n")
    # Some clients send the same thought in the field too.
    known = [] if thought.strip() == draft.reasoning.strip() else [draft.reasoning]
    return replace(draft, content=said.lstrip("\n"), reasoning="\n".join(filter(None, [*known, thought])))


def function_messages(drafts: Drafts) -> Drafts:
    """The older `function_call` and role `function` become `tool_calls` and role `tool`, with ids `call_0`, `call_1`, …"""
    if not any(draft.function_call or draft.role == "function" for draft in drafts):
        return drafts
    taken = {call.id for draft in drafts for call in draft.tool_calls} | {draft.tool_call_id for draft in drafts}
    free_ids = (call_id for number in count() if (call_id := f"call_{number}") not in taken)
    unanswered: dict[str | None, deque[str]] = defaultdict(deque)  # Ids of calls, by function name.
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
