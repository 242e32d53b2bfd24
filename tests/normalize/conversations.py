"""Conversations as clients send them, usual and unusual. Every text has a unique word that must be found in the prompt."""

import json
import re
from typing import Any

from pydantic import TypeAdapter

from service.domain import Tool, ToolUse
from service.schema.messages import ChatMessage

_ADAPTER: TypeAdapter[list[ChatMessage]] = TypeAdapter(list[ChatMessage])

TOOLS = ToolUse(
    tools=(Tool("find_table", "Finds a free table.", {"type": "object", "properties": {"guests": {"type": "integer"}}}),),
    choice="auto",
)


def as_arrived(messages: list[dict[str, Any]]) -> list[ChatMessage]:
    return _ADAPTER.validate_json(json.dumps(messages))


def words_of(value: Any) -> list[str]:
    """Return the unique words (such as `said7`) of the messages, in order."""
    return re.findall(r"said\d+", json.dumps(value))


def say(role: str, content: object = None, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **fields}


def call(call_id: str, arguments: object = "{}", name: str = "find_table") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def parts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


_ASKED = [say("system", "said1"), say("user", "said2")]
_CALLED = [*_ASKED, say("assistant", None, tool_calls=[call("call_abcdefghijklmnop", '{"guests": "said3"}')])]
_ANSWERED = [*_CALLED, say("tool", "said4", tool_call_id="call_abcdefghijklmnop")]

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "plain": [*_ASKED, say("assistant", "said3"), say("user", "said4")],
    "no system": [say("user", "said1")],
    "system alone: greet the caller": [say("system", "said1")],
    "developer": [say("developer", "said1"), say("user", "said2")],
    "developer alone": [say("developer", "said1")],
    "two systems": [say("system", "said1"), say("developer", "said2"), say("user", "said3")],
    "late system": [*_ASKED, say("assistant", "said3"), say("system", "said4"), say("user", "said5")],
    "system at the end": [*_ASKED, say("system", "said3")],
    "system only at the end": [say("user", "said1"), say("system", "said2")],
    "the agent greets": [say("system", "said1"), say("assistant", "said2"), say("user", "said3")],
    "the agent greets, no system": [say("assistant", "said1"), say("user", "said2")],
    "an assistant alone": [say("assistant", "said1")],
    "users in a row": [say("user", "said1"), say("user", "said2"), say("user", "said3")],
    "assistants in a row": [say("user", "said1"), say("assistant", "said2"), say("assistant", "said3"), say("user", "said4")],
    "the assistant spoke last": [*_ASKED, say("assistant", "said3")],
    "the caller is silent": [*_ASKED, say("assistant", "said3"), say("user", "")],
    "only silence": [say("user", "")],
    "white space": [say("system", " \n"), say("user", "  said1\t\n"), say("assistant", "\n"), say("user", "   ")],
    "an assistant that said nothing": [say("user", "said1"), say("assistant"), say("user", "said2")],
    "nothing at all": [say("assistant", "")],
    "empty parts": [say("system", []), say("user", [])],
    "parts": [say("system", parts("said1", "said2")), say("user", parts("said3", "", "said4"))],
    "refusal": [say("user", "said1"), say("assistant", None, refusal="said2"), say("user", "said3")],
    "refusal part": [
        say("user", "said1"),
        say("assistant", [{"type": "text", "text": "said2"}, {"type": "refusal", "refusal": "said3"}]),
        say("user", "said4"),
    ],
    "names": [say("system", "said1", name="x"), say("user", "said2", name="Ann"), say("user", "said3", name="Ben")],
    "a call": _CALLED,
    "a result": _ANSWERED,
    "a result and the answer": [*_ANSWERED, say("assistant", "said5"), say("user", "said6")],
    "the caller spoke before the answer": [*_ANSWERED, say("user", "said5")],
    "text beside a call": [
        say("user", "said1"),
        say("assistant", "said2", tool_calls=[call("a")]),
        say("tool", "said3", tool_call_id="a"),
        say("assistant", "said4"),
        say("user", "said5"),
    ],
    "text before a call": [
        say("user", "said1"),
        say("assistant", "said2"),
        say("assistant", None, tool_calls=[call("a")]),
        say("tool", "said3", tool_call_id="a"),
        say("assistant", "said4"),
    ],
    "parallel calls": [
        say("user", "said1"),
        say("assistant", "", tool_calls=[call("a", '{"guests": "said2"}'), call("b", '{"guests": "said3"}')]),
        say("tool", parts("said4"), tool_call_id="b"),
        say("tool", parts("said5"), tool_call_id="a"),
    ],
    "calls of one id": [
        say("user", "said1"),
        say("assistant", "", tool_calls=[call("", '{"guests": "said2"}'), call("", '{"guests": "said3"}')]),
        say("tool", "said4", tool_call_id=""),
        say("tool", "said5", tool_call_id=""),
        say("tool", "said6", tool_call_id=""),
    ],
    "calls without results": [
        say("user", "said1"),
        say("assistant", "", tool_calls=[call("a", '{"guests": "said2"}'), call("b")]),
        say("user", "said3"),
    ],
    "a result of no call": [say("user", "said1"), say("tool", "said2", tool_call_id="nobody"), say("user", "said3")],
    "results open the conversation": [say("tool", "said1", tool_call_id="a"), say("tool", "said2", tool_call_id="b")],
    "a call opens the conversation": [
        say("assistant", "said1", tool_calls=[call("a")]),
        say("tool", "said2", tool_call_id="a"),
        say("assistant", "said3"),
        say("user", "said4"),
    ],
    "arguments that are no object": [
        say("user", "said1"),
        say("assistant", None, tool_calls=[call("a", "said2 {"), call("b", '["said3"]'), call("c", "")]),
        say("assistant", None, tool_calls=[call("d", {"x": "said4"})]),
        say("assistant", None, tool_calls=[call("e", "[" * 5000), call("f", '{"x": "\\ud83d said5"}'), call("g", "null")]),
    ],
    "functions": [
        say("user", "said1"),
        say("assistant", None, function_call={"name": "find_table", "arguments": '{"guests": "said2"}'}),
        say("function", "said3", name="find_table"),
        say("assistant", "said4"),
        say("function", None, name="never_called"),
        say("user", "said5"),
    ],
}  # fmt: skip
