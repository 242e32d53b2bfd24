"""A client that costs little: some streams at a time, each followed at once by the next, over raw sockets.

It reads frames, not their content: what is measured is the server's cost, and every processor cycle the client takes is
one that the server does not have. And it looks for them every millisecond instead of being woken by each: on one machine the
waking is charged to who writes, and with real callers, who are elsewhere, there is none.
"""

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from loadtest.servers import Endpoint

LONGEST_TURN_S = 90.0
_LOOK_S = 0.001
_MOST_BYTES = 1 << 16
"""Of one read: more than a millisecond brings."""
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
    overslept_s: float = 0.0
    """The longest time that the client did not look: its machine gave it no processor."""


class _Stream:
    """One connection, turn after turn until told to stop."""

    def __init__(self, connection: socket.socket, request: bytes, heard: Heard) -> None:
        self._connection, self._request, self._heard = connection, request, heard
        self._sent_s = self._last_s = 0.0
        self._is_answered = self._has_begun = False
        self._is_last = False
        self.is_done = False
        self._ask()

    def read(self) -> None:
        """There is something, or the server has hung up."""
        data = self._connection.recv(_MOST_BYTES)
        now_s = time.perf_counter()
        is_good = self._is_answered or b"200 OK" in data[:20]
        self._is_answered = True
        if not data or not is_good or _ERROR in data:  # In a text an error's quotes would be escaped.
            self._heard.failed += 1
            return self.end()
        if frames := data.count(b"data: "):  # Else headers alone, which vLLM's server sends before the first word is there.
            self._hear(frames, now_s)
        if data.endswith(_END):
            self._heard.turns += 1
            self.end() if self._is_last else self._ask()
        return None

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
        self._is_answered = self._has_begun = False
        self._sent_s = time.perf_counter()
        self._connection.sendall(self._request)

    def end(self) -> None:
        """Hang up."""
        self.is_done = True
        self._connection.close()


class _Streams:
    """All of them, and what looks after them."""

    def __init__(self, endpoint: Endpoint, request: bytes, heard: Heard, *, streams: int) -> None:
        self._heard = heard
        self._epoll = select.epoll()
        self._by_file: dict[int, _Stream] = {}
        for _ in range(streams):
            connection = socket.create_connection((endpoint.host, endpoint.port))
            self._by_file[connection.fileno()] = _Stream(connection, request, heard)
            self._epoll.register(connection.fileno(), select.EPOLLIN)

    async def look(self) -> None:
        """Until every stream has ended; those that have not, if it is cancelled, end here."""
        try:
            looked_s = time.perf_counter()
            while self._by_file:
                await asyncio.sleep(_LOOK_S)
                looked_s, before_s = time.perf_counter(), looked_s
                self._heard.overslept_s = max(self._heard.overslept_s, looked_s - before_s)
                for file, _ in self._epoll.poll(0):
                    self._by_file[file].read()
                    if self._by_file[file].is_done:
                        del self._by_file[file]
        finally:
            self._epoll.close()
            for stream in self._by_file.values():
                stream.end()

    def stop(self) -> None:
        for stream in self._by_file.values():
            stream.stop()


@asynccontextmanager
async def streaming(endpoint: Endpoint, body: Mapping[str, Any], *, streams: int,
                    headers: Mapping[str, str] | None = None) -> AsyncIterator[Heard]:  # fmt: skip
    """So many streams within; at the end the turns in progress are heard out."""
    heard = Heard()
    all_of_them = _Streams(endpoint, _request(endpoint, body, headers or {}), heard, streams=streams)
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(all_of_them.look())
        try:
            yield heard
        except BaseException:
            looking.cancel()
            raise
        all_of_them.stop()
        await asyncio.wait_for(looking, LONGEST_TURN_S)


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
