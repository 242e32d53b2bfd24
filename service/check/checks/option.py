"""Checks of request fields that change the answer. Only a working token limit is required; the others are warnings."""

from typing import Any

from service.check.checks.definition import check
from service.check.checks.request import answered
from service.check.outcome import Failed, Warned
from service.check.probe.client import Exchange
from service.check.probe.loose_json import parse, value_at
from service.check.probe.session import COUNT, Session
from service.check.probe.stream import Stream

_FEW = 8
"""A limit in tokens. `COUNT` asks for many times as many."""
_STOP = "blue"
_TOOL = {
    "type": "function",
    "function": {
        "name": "look_up_booking",
        "description": "Finds a booking by its number.",
        "parameters": {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
    },
}
_CALL = {
    "id": "call00007",  # Nine letters and digits: Mistral's chat template accepts no other form.
    "type": "function",
    "function": {"name": "look_up_booking", "arguments": '{"number": "7"}'},
}


@check(
    "request.max-tokens",
    "`max_tokens` and `max_completion_tokens` end an answer with `length`",
    worst="fail",
    fix="Honour both names. `max_completion_tokens` is OpenAI's newer one. If only one works, configure the platform to send "
    "it. Without a limit an answer can become very long.",
)
async def max_tokens(session: Session) -> str:
    names = ("max_tokens", "max_completion_tokens")
    faults = [fault for name in names if (fault := await _fault_of_limit(session, name))]
    if len(faults) == len(names):
        raise Failed("; ".join(faults))
    if faults:
        raise Warned(faults[0])
    return f"both end the answer at {_FEW} tokens"


async def _fault_of_limit(session: Session, name: str) -> str | None:
    body: dict[str, Any] = session.body(COUNT)
    del body["max_tokens"]
    seen = await session.ask({**body, name: _FEW})
    if not seen.is_ok:
        return f"{name}: {seen.summary()}"
    answer = parse(seen.body)
    reported = value_at(answer, "usage", "completion_tokens")
    tokens = reported if isinstance(reported, int) else len(_text(seen).split())
    if tokens > _FEW:
        return f"{name}: {tokens} tokens for a limit of {_FEW}"
    reason = value_at(answer, "choices", 0, "finish_reason")
    if tokens == _FEW and isinstance(reason, str) and reason != "length":  # response.schema reports a missing one.
        return f"{name}: cut, but the finish_reason is not `length`"
    return None


@check(
    "request.stop",
    "`stop` ends an answer before the stop text",
    worst="warn",
    fix="Honour `stop`, and leave the stop text out of the answer. Otherwise make sure that the platform does not rely on it.",
)
async def stop(session: Session) -> str:
    messages = [
        {"role": "user", "content": f"When I say “go on”, answer with these words: red green {_STOP} yellow"},
        {"role": "assistant", "content": "I will."},
        {"role": "user", "content": "Go on."},
    ]
    seen = await session.ask(session.body(messages=messages, stop=[_STOP]))
    result = answered(session, seen, otherwise=Warned)
    if _STOP in _text(seen):
        raise Warned("the answer did not end at the stop text")
    return result


@check(
    "request.json",
    "`response_format` json_object makes the answer a JSON object",
    worst="warn",
    fix='Honour `response_format: {"type": "json_object"}` (in vLLM: structured outputs). Otherwise make sure that the platform '
    "does not rely on it.",
)
async def json_object(session: Session) -> str:
    messages = [
        {"role": "user", "content": "I shall say a JSON object. Answer with the same JSON object, and nothing else."},
        {"role": "assistant", "content": "I will."},
        {"role": "user", "content": '{"day": "today", "seats": 2}'},
    ]
    seen = await session.ask(session.body(messages=messages, max_tokens=64, response_format={"type": "json_object"}))
    result = answered(session, seen, otherwise=Warned)
    if not isinstance(parse(_text(seen)), dict):
        raise Warned("no JSON object within 64 tokens")
    return result


def _text(seen: Exchange) -> str:
    content = value_at(parse(seen.body), "choices", 0, "message", "content")
    return content if isinstance(content, str) else ""


@check(
    "request.tools",
    "A request may offer tools",
    worst="warn",
    fix="Accept `tools` if the agent must look things up (vLLM: --enable-auto-tool-choice and --tool-call-parser).",
)
async def tools(session: Session) -> str:
    return answered(session, await session.ask(session.body(tools=[_TOOL], tool_choice="auto")), otherwise=Warned)


@check(
    "request.tool-result",
    "A tool's result is accepted, and answered in a stream",
    worst="warn",
    fix="If the agent must look things up, accept an assistant message with `tool_calls` and null content, and the `tool` "
    "message after it. The model's chat template must support both.",
)
async def tool_result(session: Session) -> str:
    messages = [
        {"role": "user", "content": "Is booking 7 confirmed?"},
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": _CALL["id"], "content": '{"confirmed": true}'},
    ]
    seen = await session.ask(session.body(messages=messages, tools=[_TOOL], stream=True, max_tokens=64))
    stream = Stream(seen)
    if not seen.is_ok:
        raise Warned(seen.summary())
    if any("error" in chunk for _, chunk in stream.chunks):
        raise Warned("an error event")
    if not stream.contents:
        raise Warned("the answer of 64 tokens has no text")
    return f"{len(stream.contents)} deltas"


CHECKS = (max_tokens, stop, json_object, tools, tool_result)
