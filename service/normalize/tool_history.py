"""Rules about calls and their results. They are made well-formed, and are arranged as the template supports them."""

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from service.domain import Message, ToolCall
from service.normalize.context import SILENCE, Context, Messages

_MAX_DEPTH = 64
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def call_arguments(messages: Messages, context: Context) -> Messages:
    """A call's arguments become a JSON object if they are not one: empty arguments become `{}`, and anything else `{"input": …}`.
    Unpaired surrogates in them become U+FFFD. Templates iterate over the object, and would fail on other values or drop them.
    """
    return tuple(
        replace(message, tool_calls=tuple(map(_with_object, message.tool_calls))) if message.tool_calls else message
        for message in messages
    )


def _with_object(call: ToolCall) -> ToolCall:
    if not call.arguments.strip():
        return replace(call, arguments="{}")
    try:
        value = json.loads(call.arguments)
    except (ValueError, RecursionError):
        value = call.arguments
    if isinstance(value, dict) and not _is_deep(value):
        if "\\u" not in call.arguments or not _HALF_CHARACTER.search(plain := json.dumps(value, ensure_ascii=False)):
            return call
    else:
        plain = json.dumps({"input": call.arguments if _is_deep(value) else value}, ensure_ascii=False)
    return replace(call, arguments=_HALF_CHARACTER.sub("\ufffd", plain))


def _is_deep(value: Any) -> bool:
    """Return whether a value is nested deeper than any tool's arguments. Such a value can break code that iterates over it."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def dangling_results(messages: Messages, context: Context) -> Messages:
    """A result without its call in the messages before it becomes a user message that begins with `Tool result:`. Templates would
    refuse the result.
    """
    made: set[str | None] = set()
    kept: list[Message] = []
    for message in messages:
        made.update(call.id for call in message.tool_calls)
        is_dangling = message.role == "tool" and message.tool_call_id not in made
        kept.append(_as_user(message) if is_dangling else message)
    return tuple(kept)


def late_results(messages: Messages, context: Context) -> Messages:
    """Applies if the template requires results directly after their calls. A result that comes later moves to its call, after the
    results that are there.
    """
    if context.traits.takes_late_results:
        return messages
    blocks: list[list[Message]] = []  # A message with the results that follow it.
    latest: dict[str | None, list[Message]] = {}  # The block of the latest call with an id.
    for message in messages:
        if message.role == "tool" and blocks:
            latest.get(message.tool_call_id, blocks[-1]).append(message)
            continue
        blocks.append([message])
        latest.update((call.id, blocks[-1]) for call in message.tool_calls)
    return tuple(chain.from_iterable(blocks))


def paired_results(messages: Messages, context: Context) -> Messages:
    """Applies if the template requires exactly one result for each call. A call without a result gets the result `...`. Another
    result of the same call becomes a user message that begins with `Tool result:`.
    """
    if context.traits.takes_unpaired_calls:
        return messages
    paired: list[Message] = []
    at = 0
    while at < len(messages):
        message, at = messages[at], at + 1
        results: list[Message] = []
        while message.tool_calls and at < len(messages) and messages[at].role == "tool":
            results.append(messages[at])
            at += 1
        paired += _paired(message, results) if message.tool_calls else (message,)
    return tuple(paired)


def _paired(message: Message, results: list[Message]) -> Iterator[Message]:
    # An id that several calls of the message have is made unique, because the results are matched by it.
    ids = [call.id for call in message.tool_calls]
    unique = [call_id if call_id not in ids[:at] else f"{call_id}-{at}" for at, call_id in enumerate(ids)]
    yield replace(message, tool_calls=tuple(replace(call, id=new) for call, new in zip(message.tool_calls, unique, strict=True)))
    waiting: defaultdict[str | None, deque[str]] = defaultdict(deque)
    for old, new in zip(ids, unique, strict=True):
        waiting[old].append(new)
    others = []
    for result in results:
        if waiting[result.tool_call_id]:
            yield replace(result, tool_call_id=waiting[result.tool_call_id].popleft())
        else:
            others.append(result)
    for call_id in chain.from_iterable(waiting.values()):
        yield Message("tool", SILENCE, tool_call_id=call_id)
    yield from map(_as_user, others)


def _as_user(result: Message) -> Message:
    # Not `<tool_response>`: Qwen 3.5 does not count that as a user's message, and could then find no user message at all.
    return Message("user", f"Tool result:\n{result.content}")


def text_beside_calls(messages: Messages, context: Context) -> Messages:
    """Applies if the template drops the text of a message with calls. The text becomes a separate message before the calls. Only
    white space is dropped.
    """
    if context.traits.takes_text_beside_calls:
        return messages
    return tuple(chain.from_iterable(map(_text_then_calls, messages)))


def _text_then_calls(message: Message) -> Messages:
    if not message.tool_calls or not message.content:
        return (message,)
    if not message.content.strip():
        return (replace(message, content=""),)
    return replace(message, tool_calls=()), replace(message, content="", reasoning="")


def text_before_calls(messages: Messages, context: Context) -> Messages:
    """Applies if the template refuses an assistant's text directly before its calls. A user message `...` is put between them."""
    if context.traits.takes_text_before_calls:
        return messages
    apart: list[Message] = []
    for message in messages:
        if message.tool_calls and apart and apart[-1].role == "assistant" and not apart[-1].tool_calls:
            apart.append(Message("user", SILENCE))
        apart.append(message)
    return tuple(apart)


def parallel_calls(messages: Messages, context: Context) -> Messages:
    """Applies if the template supports only one call per message. Each call gets its own message, followed by its result."""
    if context.traits.takes_parallel_calls:
        return messages
    one_by_one: list[Message] = []
    at = 0
    while at < len(messages):
        message, at = messages[at], at + 1
        if len(message.tool_calls) < 2:
            one_by_one.append(message)
            continue
        results: dict[str | None, deque[Message]] = defaultdict(deque)
        while at < len(messages) and messages[at].role == "tool":
            results[messages[at].tool_call_id].append(messages[at])
            at += 1
        for number, call in enumerate(message.tool_calls):
            first = message if number == 0 else replace(message, content="", reasoning="")
            one_by_one.append(replace(first, tool_calls=(call,)))
            if results[call.id]:
                one_by_one.append(results[call.id].popleft())
        one_by_one.extend(chain.from_iterable(results.values()))
    return tuple(one_by_one)
