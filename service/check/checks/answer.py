"""Answers that are not streamed: their schema, and errors."""

from typing import Any

from service.check.checks.definition import check
from service.check.checks.schema import ChatCompletion, ErrorBody
from service.check.checks.validation import Verdict, judge, some
from service.check.outcome import Failed, Warned
from service.check.probe.client import Exchange
from service.check.probe.session import Session


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
ERROR_CHECKS = (bad_json, wrong_type, unknown_model)
