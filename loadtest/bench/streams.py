"""A client that costs little: some streams at a time, each followed at once by the next, over raw sockets.

It reads frames, not their content: what is measured is the server's cost, and every processor cycle the client takes is
one that the server does not have.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from loadtest.servers import Endpoint

LONGEST_TURN_S = 90.0
_END = b"0\r\n\r\n"
"""Of a chunked body."""
_ERROR = b'data: {"error"'
"""How an error event begins: a stream may fail after its 200."""


@dataclass
class Heard:
    """What the streams brought."""

    turns: int = 0
    frames: int = 0
    failed: int = 0
    ttfts_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    """Between reads of one turn, the first word's on. A read may hold several frames."""


class _Stream(asyncio.Protocol):
    """One connection, turn after turn until told to stop."""

    def __init__(self, request: bytes, heard: Heard) -> None:
        self._request, self._heard = request, heard
        self._transport: asyncio.Transport | None = None
        self._sent_s = self._last_s = 0.0
        self._is_answered = self._has_begun = False
        self._is_last = False
        self.is_done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass.
        self._ask()

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        is_good = self._is_answered or b"200 OK" in data[:20]
        self._is_answered = True
        if not is_good or _ERROR in data:  # In a text its quotes would be escaped.
            self._heard.failed += 1
            return self._close()
        if frames := data.count(b"data: "):  # Else headers alone, which vLLM's server sends before the first word is there.
            self._hear(frames, now_s)
        if data.endswith(_END):
            self._heard.turns += 1
            self._close() if self._is_last else self._ask()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_done.done():
            self._heard.failed += not self._is_last or exc is not None
            self.is_done.set_result(None)

    def _hear(self, frames: int, now_s: float) -> None:
        self._heard.frames += frames
        if self._has_begun:
            self._heard.gaps_s.append(now_s - self._last_s)
        else:
            self._heard.ttfts_s.append(now_s - self._sent_s)
        self._has_begun, self._last_s = True, now_s

    def stop(self) -> None:
        """After the turn that is in progress."""
        self._is_last = True

    def _ask(self) -> None:
        assert self._transport is not None
        self._is_answered = self._has_begun = False
        self._sent_s = time.perf_counter()
        self._transport.write(self._request)

    def _close(self) -> None:
        assert self._transport is not None
        self._is_last = True
        self._transport.close()


@asynccontextmanager
async def streaming(endpoint: Endpoint, body: Mapping[str, Any], *, streams: int,
                    headers: Mapping[str, str] | None = None) -> AsyncIterator[Heard]:  # fmt: skip
    """So many streams within; at the end the turns in progress are heard out."""
    heard = Heard()
    request = _request(endpoint, body, headers or {})
    loop = asyncio.get_running_loop()
    protocols = [
        (await loop.create_connection(lambda: _Stream(request, heard), endpoint.host, endpoint.port))[1] for _ in range(streams)
    ]
    yield heard
    for protocol in protocols:
        protocol.stop()
    await asyncio.wait_for(asyncio.gather(*(protocol.is_done for protocol in protocols)), LONGEST_TURN_S)


async def stream_for(endpoint: Endpoint, body: Mapping[str, Any], *, streams: int, seconds: float,
                     headers: Mapping[str, str] | None = None) -> Heard:  # fmt: skip
    """Keep so many streams going for so long; the turns in progress then end."""
    async with streaming(endpoint, body, streams=streams, headers=headers) as heard:
        await asyncio.sleep(seconds)
    return heard


def _request(endpoint: Endpoint, body: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    content = orjson.dumps({"model": endpoint.model, "stream": True, **body})
    fields = {"Host": endpoint.host, "Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
    if endpoint.key:
        fields["Authorization"] = f"Bearer {endpoint.key}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST /v1/chat/completions HTTP/1.1\r\n{lines}\r\n".encode() + content
