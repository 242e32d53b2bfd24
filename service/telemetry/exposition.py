"""/metrics: our metrics and the engine's in one document, on the main port, on a separate port, or on both.

The format is always Prometheus' text format 0.0.4, whatever the scraper asks for. Every scraper reads it. In OpenMetrics,
prometheus_client 0.26 writes `vllm_x` for `vllm:x`, and dashboards do not find that. Nothing here needs more than this format.
"""

import socket
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import REGISTRY, Collector

from service.errors import StartError

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_MOST_CONNECTIONS = 16
"""Maximum number of connections to the separate port. Each costs a thread and an open file, which the main port needs too."""
_PATIENCE_S = 5.0
"""Seconds to wait for a scraper that sends nothing."""


class Exposition(Collector):
    """Renders our registry together with prometheus_client's global one, which has vLLM's `vllm:*` and the process's metrics."""

    def __init__(self, ours: CollectorRegistry) -> None:
        self._ours = ours
        self._whole = CollectorRegistry(auto_describe=False)
        self._whole.register(self)
        self._lock = threading.Lock()
        self._begun = self._done = 0
        self._document = b""
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        """Thread for scrapes of the main port. The event loop's default executor has other work."""

    def collect(self) -> Iterable[Metric]:
        yield from self._ours.collect()
        yield from REGISTRY.collect()

    def render(self) -> bytes:
        """Return the current document. It takes tens of milliseconds of processor time, so do not call this on the event loop.

        Only one thread renders at a time, so that many scrapers delay tokens no more than one does. Callers that wait share the
        next document. Its rendering begins after they have called, so it is current for each of them.
        """
        wanted = self._begun + 1
        with self._lock:
            if self._done < wanted:
                self._begun += 1
                self._document = generate_latest(self._whole)
                self._done = self._begun
            return self._document

    def serve(self, host: str, port: int) -> int:
        """Answer on separate threads from now on, even while the event loop is blocked.

        Returns the port; 0 asks for any free port. Raises `StartError` if the address cannot be bound.
        """
        handler = type("Handler", (_Handler,), {"exposition": self})
        server_class = _Server6 if ":" in host else _Server
        try:
            server = server_class((host, port), handler)
        except OSError as error:
            raise StartError(f"Cannot bind {host}:{port}: {error.strerror}. Set FIRSTWORD_METRICS_PORT to a free port.") from None
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        return int(server.server_address[1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.Semaphore(_MOST_CONNECTIONS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Bind as the base class does, but without looking up this machine's name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Close a connection above the maximum at once."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a scraper that closed its connection. The base class would print a traceback outside of the log."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    exposition: Exposition
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":  # A probe that points to this port by mistake must fail.
            self._answer(404, "text/plain", b"This port serves only /metrics.\n")
        else:
            self._answer(200, CONTENT_TYPE, self.exposition.render())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Log nothing: scrapes come every few seconds."""
