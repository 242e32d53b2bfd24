"""uvicorn's HTTP/1.1 protocol with bounds: application code runs only after the headers, so a bound on them must be here, and
so must those on connections that ask nothing and on callers that take an answer too slowly.

Also here, since nothing above the parser can mend it: a request that offers an `Upgrade` (Java's HttpClient offers h2c on
every plain-text POST) is served as if it had not, and what is no HTTP gets OpenAI's error shape.
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
"""From the connection, or from a request's first byte, to the end of its headers."""
PAUSE_S = 0.25
"""A timer that rings later than this tells of a pause of the machine or of the event loop."""
LINGER_S = 1.0


class Connections:
    """How many may be open. One more closes the one that has been idle for the longest, so that probes and turns get in."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._idle: dict[BoundedProtocol, None] = {}  # In order: the longest first.

    def opened(self, new: "BoundedProtocol", *, open_now: int) -> None:
        self.idle(new)
        if open_now > self._limit:
            longest = next(iter(self._idle))
            self.not_idle(longest)
            longest.transport.abort()

    def idle(self, connection: "BoundedProtocol") -> None:
        """It has sent no whole request yet, or has its answer."""
        self._idle[connection] = None

    def not_idle(self, connection: "BoundedProtocol") -> None:
        """It has sent a whole request; or is closed. Either way not to be closed for another's sake."""
        self._idle.pop(connection, None)


class BoundedProtocol(HttpToolsProtocol):
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
            # Not a request yet: an empty line, or the rest of a body that was answered before it was whole.
            self._start_head_timer()
        try:
            self._unset_keepalive_if_required()
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        self._head_bytes += len(data)  # Counted from the message's begin, which the parser may just have seen.
        if self._is_in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", f"The request's headers may have {MAX_HEAD_BYTES} bytes.")

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
        if not self._unparsed_body_bytes:  # At an upgrade the parser stops at the headers, and the body is still to come.
            self.open_ones.not_idle(self)
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if not self.pipeline:
            self.open_ones.idle(self)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The caller reads slower than we write. The kernel ends one that reads nothing; one that sips must be ended here."""
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
        """Give a body that the parser will not see to the request it belongs to; what follows it comes back."""
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
            # An answer is on its way to an earlier request of this connection: not into the middle of it.
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        body = orjson.dumps(InvalidRequest(message, code="invalid_http").as_openai())
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (
            status,
            len(body),
        )
        self.transport.write(head + body)
        # Closing at once, with more still coming, would reset the connection and take the answer with it.
        self._is_refused = True
        self.transport.write_eof()
        self.loop.call_later(LINGER_S, self.transport.close)

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        due_s = self.loop.time() + HEAD_TIMEOUT_S
        self._head_timer = self.loop.call_at(due_s, self._end_of_patience, due_s)

    def _end_of_patience(self, due_s: float) -> None:
        """A caller on a machine that stood still, as this one did, could not send: its time begins anew."""
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
    """The protocol for one server: uvicorn takes a class, and hands it nothing of ours."""
    of_server = {"open_ones": Connections(limit=max_connections), "send_timeout_s": send_timeout_s, "coalescer": WriteCoalescer()}
    return type("Protocol", (BoundedProtocol,), of_server)
