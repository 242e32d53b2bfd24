"""Rules about the ids of calls, and about names in results: how a template finds out which function a result is from."""

import re
from dataclasses import replace
from itertools import count

from service.domain import Message
from service.normalize.context import Context, Messages

_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")


def result_names(messages: Messages, context: Context) -> Messages:
    """Applies if the template requires the function's name in a result. A result without a name gets that of its call."""
    if context.traits.takes_nameless_results:
        return messages
    called: dict[str | None, str] = {}
    named: list[Message] = []
    for message in messages:
        called.update((call.id, call.name) for call in message.tool_calls)
        is_nameless = message.role == "tool" and not message.name
        named.append(replace(message, name=called.get(message.tool_call_id)) if is_nameless else message)
    return tuple(named)


def short_call_ids(messages: Messages, context: Context) -> Messages:
    """Applies if the template requires ids of nine letters or digits. Other ids become `call00000`, `call00001`, …"""
    if context.traits.takes_any_call_id:
        return messages
    ids = dict.fromkeys(
        call_id
        for message in messages
        for call_id in (*(call.id for call in message.tool_calls), message.tool_call_id)
        if call_id is not None
    )
    fitting = {call_id for call_id in ids if _SHORT_ID.fullmatch(call_id)}
    free = (short for number in range(10**5) if (short := f"call{number:05}") not in fitting)
    renamed = {call_id: call_id if call_id in fitting else next(free) for call_id in ids}
    return tuple(
        replace(
            message,
            tool_calls=tuple(replace(call, id=renamed[call.id]) for call in message.tool_calls),
            tool_call_id=renamed.get(message.tool_call_id or "", message.tool_call_id),
        )
        for message in messages
    )


def named_call_ids(messages: Messages, context: Context) -> Messages:
    """Applies if the template shows a call's id and not its function's name. The ids become `functions.NAME:0`,
    `functions.NAME:1`, …, counted over the conversation, as Kimi K2 writes them.
    """
    if context.traits.shows_called_names:
        return messages
    numbers = count()
    latest: dict[str | None, str] = {}
    made: list[Message] = []
    for message in messages:
        calls = tuple(replace(call, id=f"functions.{call.name}:{next(numbers)}") for call in message.tool_calls)
        latest.update((old.id, new.id) for old, new in zip(message.tool_calls, calls, strict=True))
        made.append(replace(message, tool_calls=calls, tool_call_id=latest.get(message.tool_call_id, message.tool_call_id)))
    return tuple(made)
