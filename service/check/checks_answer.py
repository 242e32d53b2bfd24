"""Answers that are not streamed: their schema, what a platform sends beside the plain question, and errors."""

from typing import Any

from service.check.client import Exchange
from service.check.judge import Verdict, judge, some
from service.check.outcome import Failed, Warned, check
from service.check.schema import ChatCompletion, ErrorBody
from service.check.session import Session

_TOOL = {
    "type": "function",
    "function": {
        "name": "look_up_booking",
        "description": "Finds a booking by its number.",
        "parameters": {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]},
    },
}
_EXTRAS: dict[str, Any] = {
    "x_conversation_id": "check",
    "conversation": {"channel": "voice", "turn": 1, "tags": ["check", None]},
    "metadata": {"call": "check"},
    "user": "check",
    "store": False,
}


@check(
    "response.content-type",
    "The answer is application/json",
    worst="fail",
    fix="Send `Content-Type: application/json`: OpenAI's clients do not parse anything else.",
)
async def content_type(session: Session) -> str:
    if session.whole.media_type != "application/json":
        raise Failed(f"content type {session.whole.media_type or 'missing'}")
    return "application/json"


@check(
    "response.schema",
    "The answer is OpenAI's ChatCompletion, every field and type",
    worst="fail",
    fix="Make the named fields what OpenAI's API reference says. Where a proxy rewrites the body, look there first.",
)
async def schema(session: Session) -> str:
    return valid(judge(ChatCompletion, session.whole.body))


def valid(verdict: Verdict) -> str:
    """Raises `Failed` or `Warned`."""
    if verdict.faults:
        raise Failed(some(verdict.faults))
    if verdict.absent:
        raise Warned(f"not sent, and read as null: {some(verdict.absent)}")
    return "valid" + (f"; beyond OpenAI's: {some(verdict.extra)}" if verdict.extra else "")


@check(
    "request.history",
    "Several turns with a system message are answered",
    worst="fail",
    fix="Accept system, user and assistant messages in turn. If the model's chat template refuses a system role, "
    "fold it into the first user message.",
)
async def history(session: Session) -> str:
    messages = [
        {"role": "system", "content": "You are a voice agent. Answer in one short sentence."},
        {"role": "user", "content": "My name is Kim."},
        {"role": "assistant", "content": "Hello Kim, how can I help?"},
        {"role": "user", "content": "I booked a table."},
        {"role": "assistant", "content": "For which day?"},
        {"role": "user", "content": "For today. What is my name?"},
    ]
    return _answered(session, await session.ask(session.body(messages=messages)))


@check(
    "request.extra-fields",
    "Fields that the endpoint does not know do no harm",
    worst="fail",
    fix="Ignore unknown fields instead of refusing the request: platforms send some.",
)
async def extra_fields(session: Session) -> str:
    return _answered(session, await session.ask(session.body(**_EXTRAS)))


def _answered(session: Session, seen: Exchange) -> str:
    if not seen.is_ok:
        raise Failed(seen.told())
    # What the plain answer has too is told there.
    known = judge(ChatCompletion, session.whole.body).faults
    if faults := [fault for fault in judge(ChatCompletion, seen.body).faults if fault not in known]:
        raise Failed(some(faults))
    return "status 200, answered"


@check(
    "request.tools",
    "Tools may be offered",
    worst="warn",
    fix="Accept `tools` (vLLM: --enable-auto-tool-choice and --tool-call-parser), if the agent shall look things up.",
)
async def tools(session: Session) -> str:
    try:
        return _answered(session, await session.ask(session.body(tools=[_TOOL], tool_choice="auto")))
    except Failed as failed:
        raise Warned(str(failed)) from None


_ERROR_FIX = (
    'Answer a caller\'s mistake with 4xx and {"error": {"message", "type", "param", "code"}}: on 5xx clients try again, in vain, '
    "while the caller waits."
)


@check("errors.bad-json", "A body that is no JSON gets a well-formed 4xx", worst="fail", fix=_ERROR_FIX)
async def bad_json(session: Session) -> str:
    return _well_formed_error(await session.ask(b'{"model": "x", "messages": ['))


@check("errors.wrong-type", "A field of a wrong type gets a well-formed 4xx", worst="fail", fix=_ERROR_FIX)
async def wrong_type(session: Session) -> str:
    body: dict[str, Any] = session.body(messages="not a list")
    return _well_formed_error(await session.ask(body))


@check("errors.unknown-model", "A model that is not served gets a well-formed 4xx", worst="fail", fix=_ERROR_FIX)
async def unknown_model(session: Session) -> str:
    return _well_formed_error(await session.ask(session.body(model="firstword-check-no-such-model")))


def _well_formed_error(seen: Exchange) -> str:
    if seen.status is None or not 400 <= seen.status < 500:
        raise Failed(seen.told())
    faults = judge(ErrorBody, seen.body).faults
    # Without a message nobody learns what is wrong; the rest is for programs, and few read it.
    if any(not fault.startswith(("error.type", "error.param", "error.code")) for fault in faults):
        raise Failed(f"status {seen.status}; {some(faults)}")
    if faults:
        raise Warned(f"status {seen.status}; {some(faults)}")
    return f"status {seen.status}, error shape"


RESPONSE_CHECKS = (content_type, schema)
REQUEST_CHECKS = (history, extra_fields, tools)
ERROR_CHECKS = (bad_json, wrong_type, unknown_model)
