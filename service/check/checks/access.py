"""Checks of access: both paths, both headers, and the refusal of wrong and missing keys."""

from service.check.checks.definition import check
from service.check.checks.schema import ErrorBody
from service.check.checks.validation import first_few, validate
from service.check.outcome import Failed, Skipped, Warned
from service.check.probe.client import Exchange
from service.check.probe.session import HEADERS, Header, Session, wrong_key
from service.check.probe.target import PathName

_REFUSED = (401, 403)


@check(
    "path.v1",
    "POST /v1/chat/completions answers",
    worst="fail",
    fix="Route POST /v1/chat/completions to the model server. If only one path answers, hand over the URL that the sheet names.",
)
async def v1(session: Session) -> str:
    return _answering(session, "v1", "bare")


@check(
    "path.bare",
    "POST /chat/completions answers",
    worst="fail",
    fix="Route POST /chat/completions too. Some platforms append it to the base URL without /v1. If only one path answers, "
    "hand over the URL that the sheet names.",
)
async def bare(session: Session) -> str:
    return _answering(session, "bare", "v1")


def _answering(session: Session, path: PathName, other: PathName) -> str:
    if headers := session.answering_headers(path):
        return f"status 200 with {' and '.join(headers)}"
    probes = [probe for (asked, _), probe in session.probes.items() if asked == path]
    seen = f"{session.target.chat(path)}: {' and '.join(dict.fromkeys(probe.summary() for probe in probes))}"
    if session.answering_headers(other):
        raise Warned(f"{seen}; hand over {session.target.chat(other)}")
    if all(probe.status == 404 for probe in session.probes.values()):
        raise Failed(f"{seen}; check the URL itself")
    raise Failed(seen)


@check(
    "auth.x-api-key",
    "The key is accepted as `x-api-key: KEY`",
    worst="warn",
    fix="Accept the key in `x-api-key`, or configure the platform to send it as `Authorization: Bearer`.",
)
async def x_api_key(session: Session) -> str:
    return _accepted_as(session, "x-api-key")


@check(
    "auth.bearer",
    "The key is accepted as `Authorization: Bearer KEY`",
    worst="warn",
    fix="Accept the key in `Authorization: Bearer`, which OpenAI's clients send, or configure the platform to send it as "
    "`x-api-key`.",
)
async def bearer(session: Session) -> str:
    return _accepted_as(session, "bearer")


def _accepted_as(session: Session, header: Header) -> str:
    assert session.path
    probe = session.probes[session.path, header]
    if not probe.is_ok:
        raise Warned(probe.summary())
    return "status 200"


@check(
    "auth.wrong-key",
    "A wrong key is refused with 401 or 403",
    worst="fail",
    fix="Check the key before anything else, on every path and in both headers. An endpoint that accepts any key is open to "
    "everybody.",
)
async def refuses_wrong_key(session: Session) -> str:
    for path in session.answering_paths:
        for header in HEADERS:
            _must_refuse(await session.ask(session.body(), path=path, header=header, key=wrong_key()), f"{header} at {path}")
    return "refused in both headers"


@check(
    "auth.missing-key",
    "A request without a key is refused with 401 or 403",
    worst="fail",
    fix="Refuse requests without a key, on every path. `vllm serve --api-key` protects only paths that begin with /v1.",
)
async def refuses_missing_key(session: Session) -> str:
    for path in session.answering_paths:
        _must_refuse(await session.ask(session.body(), path=path, is_keyless=True), f"no key at {path}")
    return "refused"


def _must_refuse(seen: Exchange, how: str) -> None:
    if seen.status not in _REFUSED:
        raise Failed(f"{how}: {seen.summary()}")


@check(
    "auth.refusal-shape",
    "The refusal of a key has OpenAI's error shape",
    worst="warn",
    fix='Answer {"error": {"message": ..., "type": ..., "param": null, "code": "invalid_api_key"}}, so that clients can '
    "show the reason.",
)
async def refusal_shape(session: Session) -> str:
    seen = await session.ask(session.body(), key=wrong_key())
    if seen.status not in _REFUSED:
        raise Skipped("not refused: see auth.wrong-key")
    if faults := validate(ErrorBody, seen.body).faults:
        raise Warned(first_few(faults))
    return f"status {seen.status}, error shape"


CHECKS = (v1, bare, x_api_key, bearer, refuses_wrong_key, refuses_missing_key, refusal_shape)
