"""Rules about calls and their results. They are made well-formed, and written as text for a template that cannot show them."""

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, groupby
from typing import Any

from service.domain import Message, Tool, ToolCall
from service.normalize.context import Context, Messages, joined

_MAX_DEPTH = 64
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")


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


def tools_described(messages: Messages, context: Context) -> Messages:
    """Applies if the template cannot show tools, except with `tool_choice: "none"`. The tools are described at the end of the
    system message that opens the conversation, in the `<tools>` form of Hermes and Qwen. If there is none, a system message is
    added.
    """
    tool_use = context.tool_use
    if context.traits.takes_tools or not tool_use or tool_use.choice == "none":
        return messages
    description = _TOOLS_TEXT.format(tools="\n".join(map(_tool_json, tool_use.tools)))
    if messages and messages[0].role == "system":
        return replace(messages[0], content=joined((messages[0].content, description), "\n\n")), *messages[1:]
    return Message("system", description), *messages


_TOOLS_TEXT = """\
# Tools

You can call functions to help the user. Their signatures, as JSON, are within <tools></tools>:
<tools>
{tools}
</tools>

To call a function, answer with a JSON object of its name and arguments within <tool_call></tool_call>:
<tool_call>
{{"name": <function name>, "arguments": <object of arguments>}}
</tool_call>"""


def _tool_json(tool: Tool) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    shown = {key: value for key, value in function.items() if value is not None}
    return json.dumps({"type": "function", "function": shown}, ensure_ascii=False)


def calls_as_text(messages: Messages, context: Context) -> Messages:
    """Applies if the template cannot show calls and results. A call is written into the assistant's content as `<tool_call>`.
    Results become a user message with `<tool_response>`; results in a row share one message.
    """
    if context.traits.takes_tools:
        return messages
    return tuple(
        chain.from_iterable(
            (_results_as_text(run),) if role == "tool" else map(_calls_as_text, run)
            for role, run in groupby(messages, key=lambda message: message.role)
        )
    )


def _calls_as_text(message: Message) -> Message:
    if not message.tool_calls:
        return message
    calls = (
        f'<tool_call>\n{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments}}}\n</tool_call>'
        for call in message.tool_calls
    )
    return replace(message, content=joined((message.content, *calls), "\n"), tool_calls=())


def _results_as_text(run: Iterator[Message]) -> Message:
    return Message("user", "\n".join(f"<tool_response>\n{message.content}\n</tool_response>" for message in run))


def dangling_results(messages: Messages, context: Context) -> Messages:
    """A result without its call in the messages before it becomes a user message that begins with `Tool result:`. Templates would
    refuse the result.
    """
    made: set[str | None] = set()
    kept: list[Message] = []
    for message in messages:
        made.update(call.id for call in message.tool_calls)
        is_dangling = message.role == "tool" and message.tool_call_id not in made
        # Not `<tool_response>`: Qwen 3.5 does not count that as a user's message, and could then find no user message at all.
        kept.append(Message("user", f"Tool result:\n{message.content}") if is_dangling else message)
    return tuple(kept)


def text_beside_calls(messages: Messages, context: Context) -> Messages:
    """Applies if the template drops the text of a message with calls. The text becomes a separate message before the calls."""
    if context.traits.takes_text_beside_calls:
        return messages
    return tuple(chain.from_iterable(map(_text_then_calls, messages)))


def _text_then_calls(message: Message) -> Messages:
    if not message.tool_calls or not message.content.strip():
        return (message,)
    return replace(message, tool_calls=()), replace(message, content="")


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
            one_by_one.append(replace(message, content=message.content if number == 0 else "", tool_calls=(call,)))
            if results[call.id]:
                one_by_one.append(results[call.id].popleft())
        one_by_one.extend(chain.from_iterable(results.values()))
    return tuple(one_by_one)


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
