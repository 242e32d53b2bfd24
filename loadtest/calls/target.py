"""The endpoint that is called. Wrong use of it is found before the first call, and told in one sentence."""

import contextlib
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gevent  # type: ignore[import-untyped]
import orjson
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError, HTTPSocketPoolResponse

from loadtest.calls.chunks import Malformed, chunk_of

CONNECT_S = 5.0
PROBE_S = 60.0
"""A first turn may have to wait for a model that is still warming up."""
NO_MODELS = "Name the model in FIRSTWORD_MODEL."


class WrongUse(Exception):
    """The run cannot begin; the message says what to change."""


class _KeyRefused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Target:
    """Where to send turns. It holds no key: that comes from each process's own environment."""

    host: str
    """As Locust was told; a trailing `/v1` is as good as none."""
    model: str = ""
    path: str = "/v1/chat/completions"

    @property
    def base(self) -> str:
        return self.host.rstrip("/").removesuffix("/v1")

    def at(self, path: str) -> str:
        """What to ask the server for: the path behind whatever path the host has."""
        return urlsplit(self.base).path + path


class Line:
    """One call's connection: opened with its first turn, kept for the others."""

    def __init__(self, target: Target, key: str, silence_s: float) -> None:
        self.target = target
        self._headers = {"Content-Type": "application/json", "User-Agent": "firstword-loadtest"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._client = HTTPClient.from_url(
            target.base, concurrency=1, connection_timeout=CONNECT_S, network_timeout=silence_s, headers=self._headers
        )

    def post(self, body: dict[str, Any]) -> HTTPSocketPoolResponse:
        """Returns with the response's headers; its body is still to come."""
        return self._client.request("POST", self.target.at(self.target.path), orjson.dumps(body))

    def get(self, path: str) -> tuple[int, bytes]:
        with self._client.request("GET", self.target.at(path)) as response:
            return response.status_code, response.read()

    def close(self) -> None:
        self._client.close()


def usable_key(text: str, variable: str) -> str:
    """Without the line's end that a file's content has. Raises `WrongUse`, which names the variable, not the key."""
    key = text.strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise WrongUse(f"{variable} holds characters that no header can carry.")
    return key


def check(target: Target, key: str, variable: str = "FIRSTWORD_API_KEY") -> Target:
    """The target with its model, once a turn of one token has been streamed from it. Raises `WrongUse`.

    `variable`: where the key is from, to name it where the endpoint does not take it.
    """
    try:
        parts = urlsplit(target.base)
        _ = parts.port  # Looked at only here: it may be no number.
    except ValueError:
        raise WrongUse("--host must be the URL of the endpoint, such as http://127.0.0.1:8000.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongUse("--host must be the URL of the endpoint, such as http://127.0.0.1:8000.")
    if parts.username or parts.password:
        raise WrongUse("--host must hold no credentials: records and logs show it. The key belongs in FIRSTWORD_API_KEY.")
    with contextlib.closing(Line(target, key, PROBE_S)) as line:
        try:
            with gevent.Timeout(PROBE_S, TimeoutError()):
                found = target if target.model else Target(target.host, _first_model(line), target.path)
                _probe(line, found)
        except _KeyRefused as refusal:
            raise WrongUse(_wrong_key(refusal.status, key, variable)) from None
        except socket.gaierror:
            raise WrongUse(f"The name {parts.hostname} of --host is not known.") from None
        except TimeoutError:
            raise WrongUse(f"{target.base} does not answer within {PROBE_S:g} s (or does not take the connection).") from None
        except (OSError, HTTPParseError) as error:
            raise WrongUse(f"{target.base} cannot be reached, or does not speak HTTP ({_name_of(error)}).") from None
    return found


def _first_model(line: Line) -> str:
    status, body = line.get("/v1/models")
    if status in (401, 403):
        raise _KeyRefused(status)
    with contextlib.suppress(orjson.JSONDecodeError, RecursionError, LookupError, TypeError):
        if isinstance(name := orjson.loads(body)["data"][0]["id"], str):
            return name
    raise WrongUse(f"GET /v1/models names no model (status {status}). {NO_MODELS}")


def _probe(line: Line, target: Target) -> None:
    body = {"model": target.model, "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 1, "stream": True}
    with line.post(body) as response:
        status, kind = response.status_code, str(response.get("content-type", ""))
        path = target.at(target.path)
        if status == 200 and kind.startswith("text/event-stream"):
            if wrong := _wrong_with(response):
                raise WrongUse(f"POST {path} does not stream chunks of OpenAI's chat/completions: {wrong}.")
            return
        code = error_code(response.read())
    if status in (401, 403):
        raise _KeyRefused(status)
    if status == 404:
        raise WrongUse(f"POST {path} answers 404 {code}: no such path (--path), or no model {target.model!r} (FIRSTWORD_MODEL).")
    if status == 200:
        raise WrongUse(f"POST {path} does not stream: asked with stream: true, it answers {kind or 'without a Content-Type'}.")
    raise WrongUse(f"POST {path} answers a first turn with {status} {code}; try again once it serves.")


def _wrong_with(response: HTTPSocketPoolResponse) -> str:
    """What is wrong with the first event of a stream; empty: nothing. Read to the end, since the line is used again."""
    payload = next((line[5:].strip() for line in iter(lambda: response.readline(b"\n"), b"") if line.startswith(b"data:")), None)
    response.read()
    if payload is None:
        return "it ends without any event"
    if payload == b"[DONE]":
        return "its first event is [DONE]"
    try:
        chunk = chunk_of(payload)
    except Malformed as what:
        return f"its first event is malformed ({what})"
    if chunk.error:
        code = chunk.error.get("code") if isinstance(chunk.error, dict) else None
        return f"its first event is an error {word_of(code)}".strip()
    return "" if chunk.is_listed else "its first event has no `choices`"


def error_code(body: bytes) -> str:
    """The code of an OpenAI error, kept to a short word: a body can hold anything."""
    try:
        error = orjson.loads(body)["error"]
        return word_of(error.get("code") or error.get("type"))
    except (orjson.JSONDecodeError, RecursionError, LookupError, TypeError, AttributeError):
        return ""


def word_of(told: object) -> str:
    """A word or a number, cut to 40 characters; empty where it is anything else."""
    word = str(told or "")[:40] if isinstance(told, str | int) else ""
    return word if word.replace("_", "").replace("-", "").replace(".", "").isalnum() else ""


def _wrong_key(status: int, key: str, variable: str) -> str:
    if not key:
        return f"No key was sent: {variable} is not set, and the endpoint asks for one ({status})."
    return f"The endpoint does not take the key ({status}): set {variable} to one that it knows."


def _name_of(error: Exception) -> str:
    return "connection refused" if isinstance(error, ConnectionRefusedError) else type(error).__name__
