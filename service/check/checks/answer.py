"""Checks of answers that are not streamed: their schema, and error answers."""

from typing import Any

from service.check.checks.definition import check
from service.check.checks.schema import ChatCompletion, ErrorBody
from service.check.checks.validation import ValidationResult, first_few, validate
from service.check.outcome import Failed, Warned
from service.check.probe.client import Exchange
from service.check.probe.session import Session


@check(
    "response.content-type",
    "The answer is application/json",
    worst="fail",
    fix="Send `Content-Type: application/json`. OpenAI's clients parse nothing else.",
)
async def content_type(session: Session) -> str:
    if session.whole.media_type != "application/json":
        raise Failed(f"the content type is {session.whole.media_type or 'missing'}, not application/json")
    return "application/json"


@check(
    "response.schema",
    "The answer matches OpenAI's ChatCompletion in every field and type",
    worst="fail",
    fix="Make the named fields match OpenAI's API reference. If a proxy rewrites the body, look there first.",
)
async def schema(session: Session) -> str:
    return _valid(validate(ChatCompletion, session.whole.body))


def _valid(result: ValidationResult) -> str:
    """Raises `Failed` for a fault, and `Warned` for a missing field that clients read as null."""
    if result.faults:
        raise Failed(first_few(result.faults))
    if result.absent:
        raise Warned(f"missing fields, which clients read as null: {first_few(result.absent)}")
    return "valid" + (f"; fields that OpenAI does not have: {first_few(result.extra)}" if result.extra else "")


_ERROR_FIX = (
    'Answer a client\'s mistake with 4xx and {"error": {"message", "type", "param", "code"}}. On 5xx clients retry in vain, '
    "while the caller waits."
)


@check("errors.bad-json", "A body that is not JSON gets a well-formed 4xx", worst="fail", fix=_ERROR_FIX)
async def bad_json(session: Session) -> str:
    return _well_formed_error(await session.ask(b'{"model": "x", "messages": ['))


@check("errors.wrong-type", "A field of the wrong type gets a well-formed 4xx", worst="fail", fix=_ERROR_FIX)
async def wrong_type(session: Session) -> str:
    body: dict[str, Any] = session.body(messages="not a list")
    return _well_formed_error(await session.ask(body))


@check("errors.unknown-model", "A model that is not served gets a well-formed 4xx", worst="fail", fix=_ERROR_FIX)
async def unknown_model(session: Session) -> str:
    return _well_formed_error(await session.ask(session.body(model="firstword-check-no-such-model")))


def _well_formed_error(seen: Exchange) -> str:
    if seen.status is None or not 400 <= seen.status < 500:
        raise Failed(seen.summary())
    faults = validate(ErrorBody, seen.body).faults
    # A missing message is a failure: only it says what is wrong. Few programs read the other fields, so those are a warning.
    if any(not fault.startswith(("error.type", "error.param", "error.code")) for fault in faults):
        raise Failed(f"status {seen.status}; {first_few(faults)}")
    if faults:
        raise Warned(f"status {seen.status}; {first_few(faults)}")
    return f"status {seen.status}, error shape"


RESPONSE_CHECKS = (content_type, schema)
ERROR_CHECKS = (bad_json, wrong_type, unknown_model)
