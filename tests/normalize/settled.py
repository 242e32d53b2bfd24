"""Short functions that make messages as the rules get them."""

from service.domain import Message, ToolCall

A, B = ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")


def system(content: str, name: str | None = None) -> Message:
    return Message("system", content, name=name)


def user(content: str, name: str | None = None) -> Message:
    return Message("user", content, name=name)


def assistant(content: str, *calls: ToolCall, name: str | None = None) -> Message:
    return Message("assistant", content, name=name, tool_calls=calls)


def tool(content: str, call_id: str, name: str | None = None) -> Message:
    return Message("tool", content, name=name, tool_call_id=call_id)
