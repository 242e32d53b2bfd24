"""One streamed turn over its own connection.

Written on asyncio and httptools' parser, because the client shares its CPUs with the engine that it measures. At 12 turns/s of
64 tokens it takes 3 % of one CPU; httpx takes 6 to 8 %.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import httptools
import orjson

from loadtest.servers import Endpoint

Outcome = Literal["finished", "dropped", "refused", "failed", "cut"]
_REFUSED = (429, 503)


@dataclass(slots=True)
class Answer:
    """The answer to a request, filled in as it arrives. Times are in seconds on the monotonic clock."""

    sent_at: float = 0.0
    status: int = 0
    answered_at: float | None = None
    """Time of the response's status."""
    first_at: float | None = None
    """Time of the first text that is not empty."""
    last_at: float | None = None
    """Time of the last token, or of the finish reason, even without text."""
    ended_at: float | None = None
    """Time when we closed the connection, for any reason."""
    tokens: int = 0
    """Completion tokens by the server's count. For a dropped turn, the number of pieces of text."""
    text: list[str] = field(default_factory=list)
    outcome: Outcome = "cut"
    """Outcome of the turn. `cut`: the benchmark ended before the turn did."""
    failure: str | None = None


async def ask(endpoint: Endpoint, body: dict[str, Any], answer: Answer, *, drop_after: int | None = None) -> None:
    """Send a turn and read its stream to the end, or drop it after `drop_after` pieces of text, as at a barge-in."""
    answer.sent_at = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    except OSError as error:
        _fail(answer, f"connection failed ({type(error).__name__})")
        return
    try:
        writer.write(_request(endpoint, body))
        await _read(reader, answer, drop_after)
    except (OSError, httptools.HttpParserError) as error:
        _fail(answer, type(error).__name__)
    finally:
        answer.ended_at = time.monotonic()
        writer.close()


async def _read(reader: asyncio.StreamReader, answer: Answer, drop_after: int | None) -> None:
    stream = _Stream(answer)
    parser = httptools.HttpResponseParser(stream)
    stream.parser = parser
    while not stream.is_complete:
        data = await reader.read(65536)
        stream.now = time.monotonic()
        if not data:
            _fail(answer, "connection closed early")
            return
        parser.feed_data(data)
        if drop_after is not None and len(answer.text) >= drop_after and not stream.is_complete:
            answer.outcome, answer.tokens = "dropped", len(answer.text)
            return
    stream.conclude()


def _fail(answer: Answer, why: str) -> None:
    answer.outcome, answer.failure = "failed", why
    answer.ended_at = time.monotonic()


def _request(endpoint: Endpoint, body: dict[str, Any]) -> bytes:
    payload = orjson.dumps(body)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {endpoint.host}:{endpoint.port}\r\nx-api-key: {endpoint.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + payload


class _Stream:
    """httptools' callbacks. They receive the body without HTTP framing, and read its server-sent events."""

    def __init__(self, answer: Answer) -> None:
        self.parser: httptools.HttpResponseParser
        self.now = 0.0
        self.is_complete = False
        self._answer = answer
        self._rest = b""

    def on_headers_complete(self) -> None:
        self._answer.status = self.parser.get_status_code()
        self._answer.answered_at = self.now

    def on_body(self, data: bytes) -> None:
        if self._answer.status != 200:
            return
        *events, self._rest = (self._rest + data).split(b"\n\n")
        for event in events:
            payload = event.removeprefix(b"data: ")
            if payload != b"[DONE]":
                self._on_event(orjson.loads(payload))

    def on_message_complete(self) -> None:
        self.is_complete = True

    def _on_event(self, event: dict[str, Any]) -> None:
        answer = self._answer
        if error := event.get("error"):
            # vLLM refuses some turns after it has answered 200.
            is_refusal = answer.first_at is None and error.get("code") in _REFUSED
            answer.status = int(error["code"]) if is_refusal else answer.status
            answer.failure = answer.failure or "error event"
        for choice in event.get("choices", ()):
            if text := choice["delta"].get("content"):
                answer.first_at = answer.first_at or self.now
                answer.text.append(text)
            if text or choice.get("finish_reason"):
                answer.last_at = self.now
        if usage := event.get("usage"):
            answer.tokens = usage["completion_tokens"]

    def conclude(self) -> None:
        """Set the outcome after the whole response has arrived."""
        answer = self._answer
        if answer.status in _REFUSED:
            answer.outcome, answer.failure = "refused", None
        elif answer.status != 200 or answer.failure:
            _fail(answer, answer.failure or f"status {answer.status}")
        else:
            answer.outcome = "finished"
            # A turn with special tokens only has no text. Its caller waited until its end.
            answer.first_at = answer.first_at or answer.last_at
