"""Checks of requests as platforms send them: conversations of a call, and further fields of OpenAI's request."""

from typing import Any

from service.check.checks.definition import check
from service.check.checks.schema import ChatCompletion
from service.check.checks.validation import first_few, validate
from service.check.outcome import Failed, NotPassed, Warned
from service.check.probe.client import Exchange
from service.check.probe.session import Session

_SAMPLING: dict[str, Any] = {"temperature": 0.7, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0}
_EXTRAS: dict[str, Any] = {
    "x_conversation_id": "check",
    "conversation": {"channel": "voice", "turn": 1, "tags": ["check", None]},
    "metadata": {"call": "check"},
    "user": "check",
    "store": False,
}


@check(
    "request.history",
    "A conversation of several turns with a system message is answered",
    worst="fail",
    fix="Accept system, user and assistant messages in one conversation. If the model's chat template refuses a system role, "
    "merge that message into the first user message.",
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
    return answered(session, await session.ask(session.body(messages=messages)))


@check(
    "request.turn-order",
    "The agent may speak first, and a caller may speak twice in a row",
    worst="warn",
    fix="Accept a greeting of the agent as the first message, and two messages of a caller who interrupts. If the model's chat "
    "template requires alternating roles, join neighbouring messages of one role and put a user message before the greeting.",
)
async def turn_order(session: Session) -> str:
    messages = [
        {"role": "assistant", "content": "Hello, how can I help?"},
        {"role": "user", "content": "I booked a table."},
        {"role": "user", "content": "For today, I mean. For which day did I book?"},
    ]
    return answered(session, await session.ask(session.body(messages=messages)), otherwise=Warned)


@check(
    "request.content-parts",
    "Content may be a list of text parts",
    worst="warn",
    fix='Accept `"content": [{"type": "text", "text": ...}]` as well as plain text, as OpenAI does. Otherwise configure the '
    "platform to send plain text.",
)
async def content_parts(session: Session) -> str:
    parts = [{"type": "text", "text": "I booked a table."}, {"type": "text", "text": "For which day?"}]
    messages = [{"role": "user", "content": parts}]
    return answered(session, await session.ask(session.body(messages=messages)), otherwise=Warned)


@check(
    "request.sampling",
    "The sampling fields that platforms send are accepted",
    worst="fail",
    fix="Accept temperature, top_p, frequency_penalty and presence_penalty. PolyAI's documentation names them.",
)
async def sampling(session: Session) -> str:
    return answered(session, await session.ask(session.body(**_SAMPLING)))


@check(
    "request.extra-fields",
    "Fields that the endpoint does not know are ignored",
    worst="fail",
    fix="Ignore unknown fields instead of refusing the request. Platforms send some.",
)
async def extra_fields(session: Session) -> str:
    return answered(session, await session.ask(session.body(**_EXTRAS)))


def answered(session: Session, seen: Exchange, *, otherwise: type[NotPassed] = Failed) -> str:
    """Raises `otherwise` if there is no answer, or if it has faults that the plain answer does not have."""
    if not seen.is_ok:
        raise otherwise(seen.summary())
    # response.schema reports the faults of the plain answer.
    known = validate(ChatCompletion, session.whole.body).faults
    if faults := [fault for fault in validate(ChatCompletion, seen.body).faults if fault not in known]:
        raise otherwise(first_few(faults))
    return "status 200, answered"


CHECKS = (history, turn_order, content_parts, sampling, extra_fields)
