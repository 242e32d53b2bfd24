"""uvicorn's HTTP/1.1 protocol with limits on headers, on idle connections and on callers that read too slowly.

The limits are here because application code runs only after the headers have been read. Two more things can only be done at
the parser: a request that offers an `Upgrade` is served as an ordinary request (Java's HttpClient offers h2c on every
plain-text POST), and input that is not HTTP gets an answer in OpenAI's error shape.

This file uses members of uvicorn's `HttpToolsProtocol` that uvicorn does not document, so pyproject.toml bounds uvicorn's
version. It replaces `data_received` and `send_400_response`. It extends `__init__`, `connection_made` (with a wrapped
transport), `connection_lost`, `pause_writing`, `resume_writing`, `on_message_begin`, `on_headers_complete`,
`on_message_complete` and `on_response_complete`. It calls `on_body` and `_unset_keepalive_if_required`. It reads the attributes
`connections`, `headers`, `loop`, `pipeline`, `transport` and `cycle.response_complete`. It sets `parser` and `cycle.keep_alive`,
and pauses reading through `flow`.
"""

import asyncio
from typing import Any, ClassVar, cast

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import InvalidRequest
from service.server.write_coalescing import CoalescingTransport, WriteCoalescer

MAX_HEAD_BYTES = 64 * 1024
HEAD_TIMEOUT_S = 10.0
"""Maximum seconds from the connection, or from a request's first byte, to the end of the headers."""
PAUSE_S = 0.25
"""A timer that fires later than this many seconds shows that the machine or the event loop was paused."""
LINGER_S = 1.0
"""Seconds for which a refused connection stays open, so that the client can read the answer."""


class Connections:
    """Limits the number of open connections. One more closes the one that was idle longest, so probes and turns can connect."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._idle: dict[BoundedProtocol, None] = {}  # In order, the longest idle first.

    def opened(self, new: "BoundedProtocol", *, open_now: int) -> None:
        """Register a new connection. `open_now` is the number of open connections, including this one."""
        self.idle(new)
        if open_now > self._limit:
            longest = next(iter(self._idle))
            self.not_idle(longest)
            longest.transport.abort()

    def idle(self, connection: "BoundedProtocol") -> None:
        """Mark the connection as idle: it has sent no complete request yet, or has received its answer."""
        self._idle[connection] = None

    def not_idle(self, connection: "BoundedProtocol") -> None:
        """Mark the connection as not idle: it has sent a complete request, or is closed."""
        self._idle.pop(connection, None)


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `bounded_protocol` makes a subclass with the class attributes of one server."""

    open_ones: ClassVar[Connections]
    send_timeout_s: ClassVar[float]
    coalescer: ClassVar[WriteCoalescer]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._unparsed_body_bytes = 0
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport, self.coalescer)))
        self._start_head_timer()
        self.open_ones.opened(self, open_now=len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_ones.not_idle(self)
        self._stop_head_timer()
        self._stop_send_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self._unparsed_body_bytes:
            data = self._pass_on_body(data)
        if not data:
            return
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            # Not a request yet: an empty line, or the rest of a body that was answered before it was complete.
            self._start_head_timer()
        try:
            self._unset_keepalive_if_required()
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        self._head_bytes += len(data)  # Counted from the beginning of the message, which the parser may just have seen.
        if self._is_in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(
                b"431 Request Header Fields Too Large",
                f"The request's headers have more than {MAX_HEAD_BYTES} bytes. Send fewer.",
            )

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._head_bytes = 0
        self._start_head_timer()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._stop_head_timer()
        if self.parser.should_upgrade():
            lengths = [value for name, value in self.headers if name == b"content-length"]
            self._unparsed_body_bytes = int(lengths[0]) if lengths and lengths[0].isdigit() else 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self._unparsed_body_bytes:  # At an upgrade the parser stops after the headers; the body still follows.
            self.open_ones.not_idle(self)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self.open_ones.idle(self)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start the send timer: the caller reads more slowly than we write.

        The kernel closes the connection of a caller that reads nothing, but not of one that reads a little.
        """
        super().pause_writing()
        self._send_timer = self.loop.call_later(self.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_send_timer()

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", msg)

    def _go_on_without_upgrade(self, rest: bytes) -> None:
        self.parser = httptools.HttpRequestParser(self)
        if rest:
            self.data_received(rest)

    def _pass_on_body(self, data: bytes) -> bytes:
        """Pass a body that the parser will not see to its request. Return the bytes that follow the body."""
        body, rest = data[: self._unparsed_body_bytes], data[self._unparsed_body_bytes :]
        self._unparsed_body_bytes -= len(body)
        self.on_body(body)
        if not self._unparsed_body_bytes:
            self.on_message_complete()
        return rest

    def _refuse(self, status: bytes, message: str) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # An earlier request of this connection is still being answered. Do not write into the middle of that answer.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        body = orjson.dumps(InvalidRequest(message, code="invalid_http").as_openai())
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (
            status,
            len(body),
        )
        self.transport.write(head + body)
        # Closing at once while more input arrives would reset the connection, and the client would lose the answer.
        self._is_refused = True
        self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        due_s = self.loop.time() + HEAD_TIMEOUT_S
        self._head_timer = self.loop.call_at(due_s, self._on_head_timeout, due_s)

    def _on_head_timeout(self, due_s: float) -> None:
        """Close the connection. If the machine was paused, start the timer again instead: the caller may have been paused too."""
        if self.loop.time() - due_s > PAUSE_S:
            self._start_head_timer()
        else:
            self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None


def bounded_protocol(*, max_connections: int, send_timeout_s: float) -> type[BoundedProtocol]:
    """Return the protocol class for one server. uvicorn makes the instances, so our parameters are class attributes."""
    of_server = {"open_ones": Connections(limit=max_connections), "send_timeout_s": send_timeout_s, "coalescer": WriteCoalescer()}
    return type("Protocol", (BoundedProtocol,), of_server)
