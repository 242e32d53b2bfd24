"""Discovery: find which path, header and model of an endpoint get an answer."""

from service.check.probe.client import Client, Exchange
from service.check.probe.loose_json import parse, value_at
from service.check.probe.session import HEADERS, Options, Session, auth_header
from service.check.probe.target import CannotCheck, Credential, Target

_LONGEST_NAME = 256
"""Most characters in a model ID that comes from the endpoint's list. The ID goes into every request."""


async def open_session(client: Client, target: Target, credential: Credential, options: Options, model: str | None) -> Session:
    """Send one request to both paths with both headers. Raises `CannotCheck` if the host, the key or the model is wrong."""
    session = Session(client, target, credential, model or await _first_model(client, target, credential), options)
    for path in target.paths:
        for header in HEADERS:
            probe = await session.ask(session.body(), path=path, header=header)
            session.probes[path, header] = probe
            if probe.status is None:  # No connection: another header would not help.
                break
    if session.path is None:
        _explain(session, is_model_given=model is not None)
    return session


def _explain(session: Session, *, is_model_given: bool) -> None:
    """Raise `CannotCheck` if no path answers because the user gave a wrong host, key or model."""
    probes = list(session.probes.values())
    _must_speak_http(session.target, session.credential, probes)
    if all(probe.status in (401, 403) for probe in probes if probe.status != 404):
        _refuse_key(session.target, session.credential, [probe for probe in probes if probe.status != 404])
    if is_model_given and any(_is_unknown_model(probe) for probe in probes):
        raise CannotCheck(
            f"The endpoint does not serve the model {session.redacted(session.model)!r}. "
            f"GET {session.target.model_lists[0]} lists its models."
        )


async def _first_model(client: Client, target: Target, credential: Credential) -> str:
    answers = []
    for url in target.model_lists:
        for header in HEADERS:
            answer = await client.ask("GET", url, auth_header(header, credential.key))
            if name := _first_id(answer):
                return name
            answers.append(answer)
            _must_speak_http(target, credential, answers)
    denied = [answer for answer in answers if answer.status in (401, 403)]
    if denied and all(answer.status in (401, 403, 404) for answer in answers):
        _refuse_key(target, credential, denied)
    if all(answer.status == 404 for answer in answers):
        raise CannotCheck(
            f"GET {' and GET '.join(target.model_lists)} answer 404. Check the URL. If it is right and the endpoint has no "
            "list of models, give --model ID."
        )
    raise CannotCheck(
        f"GET {target.model_lists[0]} names no model ({credential.redacted(answers[0].summary())}). Give --model ID."
    )


def _must_speak_http(target: Target, credential: Credential, answers: list[Exchange]) -> None:
    if all(answer.status is None for answer in answers):
        why = credential.redacted(answers[0].summary())
        # A TLS error that is not about the certificate: the server probably does not speak TLS.
        is_plain = target.root.startswith("https:") and "SSL" in why and "CERTIFICATE" not in why
        hint = " If the server speaks plain HTTP, write http:// in the URL." if is_plain else ""
        raise CannotCheck(f"Cannot reach {target.root}: {why}.{hint}")


def _refuse_key(target: Target, credential: Credential, answers: list[Exchange]) -> None:
    if answers:
        raise CannotCheck(
            f"{target.root} refuses the key from {credential.origin} (status {answers[0].status}), as `x-api-key` and as "
            "`Authorization: Bearer`. Check the key."
        )


def _first_id(answer: Exchange) -> str | None:
    name = value_at(parse(answer.body), "data", 0, "id") if answer.is_ok else None
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME else None


def _is_unknown_model(probe: Exchange) -> bool:
    """Whether the error says so, in OpenAI's form or in vLLM's."""
    error = value_at(parse(probe.body), "error")
    return value_at(error, "code") == "model_not_found" or (probe.status, value_at(error, "param")) == (404, "model")
