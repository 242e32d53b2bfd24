"""The endpoint under test. Wrong use is found before the first call and reported in one or two sentences."""

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
"""Seconds that the test turn may take. The model may still be warming up."""
NO_MODELS = "Set FIRSTWORD_MODEL to the model's name."


class WrongUse(Exception):
    """The run cannot begin. The message says what to change."""


class _KeyRefused(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True)
class Target:
    """The endpoint. It holds no key: each process reads the key from its own environment."""

    host: str
    """Locust's --host. A trailing `/v1` is ignored."""
    model: str = ""
    path: str = "/v1/chat/completions"

    @property
    def base(self) -> str:
        return self.host.rstrip("/").removesuffix("/v1")

    def at(self, path: str) -> str:
        """The request path: the host's own path, then `path`."""
        return urlsplit(self.base).path + path


class Line:
    """The connection of one call. Its first turn opens it; later turns reuse it."""

    def __init__(self, target: Target, key: str, silence_s: float) -> None:
        self.target = target
        self._headers = {"Content-Type": "application/json", "User-Agent": "firstword-loadtest"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._client = HTTPClient.from_url(
            target.base, concurrency=1, connection_timeout=CONNECT_S, network_timeout=silence_s, headers=self._headers
        )

    def post(self, body: dict[str, Any]) -> HTTPSocketPoolResponse:
        """Post a turn. Returns when the response's headers are here; its body is not read yet."""
        return self._client.request("POST", self.target.at(self.target.path), orjson.dumps(body))

    def get(self, path: str) -> tuple[int, bytes]:
        with self._client.request("GET", self.target.at(path)) as response:
            return response.status_code, response.read()

    def close(self) -> None:
        self._client.close()


def usable_key(text: str, variable: str) -> str:
    """The key without surrounding white space, such as the line end of a file. Raises `WrongUse` if no header can carry the key.

    The message names the variable, and never contains the key.
    """
    key = text.strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise WrongUse(f"{variable} contains a space or a character that an HTTP header cannot carry. Set it to the key alone.")
    return key


def check(target: Target, key: str, variable: str = "FIRSTWORD_API_KEY") -> Target:
    """Send a test turn of one token to the endpoint, and return the target with its model. Raises `WrongUse` if that fails.

    `variable`: name of the environment variable that holds the key, for messages.
    """
    try:
        parts = urlsplit(target.base)
        _ = parts.port  # Raises ValueError if the port is not a number.
    except ValueError:
        raise WrongUse("--host must be the URL of the endpoint, such as http://127.0.0.1:8000.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongUse("--host must be the URL of the endpoint, such as http://127.0.0.1:8000.")
    if parts.username or parts.password:
        raise WrongUse("--host must not contain credentials: records and logs show it. Put the key into FIRSTWORD_API_KEY.")
    with contextlib.closing(Line(target, key, PROBE_S)) as line:
        try:
            with gevent.Timeout(PROBE_S, TimeoutError()):
                found = target if target.model else Target(target.host, _first_model(line), target.path)
                _probe(line, found)
        except _KeyRefused as refusal:
            raise WrongUse(_wrong_key(refusal.status, key, variable)) from None
        except socket.gaierror:
            raise WrongUse(f"--host: the name {parts.hostname} cannot be resolved. Check its spelling.") from None
        except TimeoutError:
            raise WrongUse(
                f"{target.base} did not accept the connection, or did not answer within {PROBE_S:g} s. Check that it is ready."
            ) from None
        except (OSError, HTTPParseError) as error:
            raise WrongUse(f"{target.base} cannot be reached or does not speak HTTP ({_name_of(error)}). Check --host.") from None
    return found


def _first_model(line: Line) -> str:
    status, body = line.get("/v1/models")
    if status in (401, 403):
        raise _KeyRefused(status)
    with contextlib.suppress(orjson.JSONDecodeError, RecursionError, LookupError, TypeError):
        if isinstance(name := orjson.loads(body)["data"][0]["id"], str):
            return name
    raise WrongUse(f"GET /v1/models lists no model (status {status}). {NO_MODELS}")


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
        raise WrongUse(
            f"POST {path} answers 404 {code}. Correct the path (--path) or the model {target.model!r} (FIRSTWORD_MODEL)."
        )
    if status == 200:
        raise WrongUse(f"POST {path} does not stream: its answer to stream: true has Content-Type {kind or 'none'}.")
    raise WrongUse(f"POST {path} answers the test turn with {status} {code}. Try again when the service is ready.")


def _wrong_with(response: HTTPSocketPoolResponse) -> str:
    """What is wrong with the first event of a stream. Empty: nothing. Reads the stream to its end, so the line can be reused."""
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
    """The code (or else the type) of an OpenAI error, as a short word. Empty if there is none: a body can hold anything."""
    try:
        error = orjson.loads(body)["error"]
        return word_of(error.get("code") or error.get("type"))
    except (orjson.JSONDecodeError, RecursionError, LookupError, TypeError, AttributeError):
        return ""


def word_of(reported: object) -> str:
    """The value as a word or number, cut to 40 characters. Empty if it is anything else."""
    word = str(reported or "")[:40] if isinstance(reported, str | int) else ""
    return word if word.replace("_", "").replace("-", "").replace(".", "").isalnum() else ""


def _wrong_key(status: int, key: str, variable: str) -> str:
    if not key:
        return f"{variable} is not set, but the endpoint requires a key (status {status}). Set {variable}."
    return f"The endpoint rejects the key in {variable} (status {status}). Set {variable} to a valid key."


def _name_of(error: Exception) -> str:
    return "connection refused" if isinstance(error, ConnectionRefusedError) else type(error).__name__
