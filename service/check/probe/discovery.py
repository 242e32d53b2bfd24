"""The way into an endpoint: which path, header and model get an answer."""

from service.check.probe.client import Client, Exchange
from service.check.probe.loose_json import parse, value_at
from service.check.probe.session import HEADERS, Options, Session, auth_header
from service.check.probe.target import CannotCheck, Credential, Target

_LONGEST_NAME = 256
"""Of a model that is taken from a list: it goes into every request."""


async def open_session(client: Client, target: Target, credential: Credential, options: Options, model: str | None) -> Session:
    """Ask at both paths with both headers. Raises `CannotCheck` where the host, the key or the model is wrong."""
    session = Session(client, target, credential, model or await _first_model(client, target, credential), options)
    for path in target.paths:
        for header in HEADERS:
            probe = await session.ask(session.body(), path=path, header=header)
            session.probes[path, header] = probe
            if probe.status is None:  # Not the header's fault.
                break
    if session.path is None:
        _explain(session, is_model_given=model is not None)
    return session


def _explain(session: Session, *, is_model_given: bool) -> None:
    """Nothing answers: raises `CannotCheck` where that is for the user to mend, and not for the endpoint."""
    probes = list(session.probes.values())
    _must_speak_http(session.target, session.credential, probes)
    if all(probe.status in (401, 403) for probe in probes if probe.status != 404):
        _refuse_key(session.target, session.credential, [probe for probe in probes if probe.status != 404])
    if is_model_given and any(_is_unknown_model(probe) for probe in probes):
        raise CannotCheck(
            f"The endpoint serves no model {session.told(session.model)!r}: see GET {session.target.model_lists[0]}."
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
            f"GET {' and GET '.join(target.model_lists)} answer 404: is the URL right? If it is, and there is no list of models, "
            "give --model ID."
        )
    raise CannotCheck(f"GET {target.model_lists[0]} names no model ({credential.shown(answers[0].told())}): give --model ID.")


def _must_speak_http(target: Target, credential: Credential, answers: list[Exchange]) -> None:
    if all(answer.status is None for answer in answers):
        why = credential.shown(answers[0].told())
        # Whatever answered knows nothing of TLS. A certificate that is not trusted is another matter.
        is_plain = target.root.startswith("https:") and "SSL" in why and "CERTIFICATE" not in why
        raise CannotCheck(f"Cannot reach {target.root}: {why}{'; does it speak plain http://?' if is_plain else '.'}")


def _refuse_key(target: Target, credential: Credential, answers: list[Exchange]) -> None:
    if answers:
        raise CannotCheck(
            f"{target.root} refuses the key of {credential.origin} (status {answers[0].status}), as `x-api-key` and as "
            "`Authorization: Bearer`."
        )


def _first_id(answer: Exchange) -> str | None:
    name = value_at(parse(answer.body), "data", 0, "id") if answer.is_ok else None
    return name if isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME else None


def _is_unknown_model(probe: Exchange) -> bool:
    """In OpenAI's words, or in vLLM's."""
    error = value_at(parse(probe.body), "error")
    return value_at(error, "code") == "model_not_found" or (probe.status, value_at(error, "param")) == (404, "model")
