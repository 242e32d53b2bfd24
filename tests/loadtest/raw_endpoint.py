"""An endpoint that says exactly what a test wants, when it wants it: also what no good endpoint would."""

import json
import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

Piece = tuple[float, bytes]
"""Seconds to wait, and what to send then."""
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None = None, **fields: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": None}]
    return b"data: " + json.dumps({"choices": choices, **fields}, ensure_ascii=False).encode() + b"\n\n"


@dataclass
class RawEndpoint:
    url: str = ""
    pieces: Sequence[Piece] = ()
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream"})
    is_whole: bool = True
    """False: the connection breaks off after the last piece."""
    stalls_after: int | None = None
    """Answers after which no more come."""
    connections: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def raw_endpoint(*pieces: Piece, **about: Any) -> Iterator[RawEndpoint]:
    """GET /v1/models names the model `raw`; every POST is answered with the pieces."""
    endpoint = RawEndpoint(pieces=pieces, **about)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            endpoint.connections += 1
            super().setup()

        def do_GET(self) -> None:
            found = self.path == "/v1/models"
            body = json.dumps({"data": [{"id": "raw"}]} if found else {}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            endpoint.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            if endpoint.stalls_after is not None and len(endpoint.bodies) > endpoint.stalls_after:
                self.rfile.read(1)  # Until the caller is gone.
                return
            self.send_response(endpoint.status)
            for name, value in {**endpoint.headers, "Transfer-Encoding": "chunked"}.items():
                self.send_header(name, value)
            self.end_headers()
            for wait_s, data in endpoint.pieces:
                time.sleep(wait_s)
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            if endpoint.is_whole:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = self.close_connection or not endpoint.is_whole

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Callers hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        endpoint.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield endpoint
        finally:
            server.shutdown()
            thread.join()
