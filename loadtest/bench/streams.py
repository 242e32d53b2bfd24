"""A client that uses little CPU: a number of streams over raw sockets, each followed at once by the next turn.

It counts frames and does not parse them, because it shares the CPUs with the server whose cost is measured. It polls every
millisecond and is not woken by each frame: on one machine, the kernel charges the wake-up to the process that writes. With real
callers, who are on other machines, there is no such cost.
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
"""Most bytes of one read. More than a server sends in a millisecond."""
_END = b"0\r\n\r\n"
"""End of a chunked body."""
_ERROR = b'data: {"error"'
"""Start of an error event. A stream can fail after status 200."""


@dataclass
class Heard:
    """Results of the streams."""

    turns: int = 0
    frames: int = 0
    failed: int = 0
    ttfts_s: list[float] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    """Seconds between reads of a turn, from the first frame on. A read may contain several frames."""
    overslept_s: float = 0.0
    """Longest time between two polls. It is long when the client gets no CPU."""


class _Stream:
    """One connection. It sends turn after turn until `stop`."""

    def __init__(self, connection: socket.socket, request: bytes, heard: Heard) -> None:
        self._connection, self._request, self._heard = connection, request, heard
        self._sent_s = self._last_s = 0.0
        self._is_answered = self._has_begun = False
        self._is_last = False
        self.is_done = False
        self._ask()

    def read(self) -> None:
        """Read what has arrived, or notice that the server closed the connection."""
        data = self._connection.recv(_MOST_BYTES)
        now_s = time.perf_counter()
        is_good = self._is_answered or b"200 OK" in data[:20]
        self._is_answered = True
        if not data or not is_good or _ERROR in data:  # Text cannot match `_ERROR`, because its quotes are escaped.
            self._heard.failed += 1
            return self.end()
        if frames := data.count(b"data: "):  # Otherwise only headers: vLLM's server sends them before the first frame.
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
        """Close the connection after the current turn."""
        self._is_last = True

    def _ask(self) -> None:
        self._is_answered = self._has_begun = False
        self._sent_s = time.perf_counter()
        self._connection.sendall(self._request)

    def end(self) -> None:
        """Close the connection."""
        self.is_done = True
        self._connection.close()


class _Streams:
    """All streams, and the loop that polls them."""

    def __init__(self, endpoint: Endpoint, request: bytes, heard: Heard, *, streams: int) -> None:
        self._heard = heard
        self._epoll = select.epoll()
        self._by_file: dict[int, _Stream] = {}
        for _ in range(streams):
            connection = socket.create_connection((endpoint.host, endpoint.port))
            self._by_file[connection.fileno()] = _Stream(connection, request, heard)
            self._epoll.register(connection.fileno(), select.EPOLLIN)

    async def look(self) -> None:
        """Poll until every stream has ended. If it is cancelled, close the remaining streams."""
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
    """Context in which `streams` streams run. At its end, turns in progress are read to their end."""
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
    """Run `streams` streams for `seconds`, then read the turns in progress to their end."""
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
