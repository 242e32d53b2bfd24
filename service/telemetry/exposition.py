"""/metrics: ours and the engine's in one document, on the main port, on a port of its own, or on both.

Always in Prometheus' text format 0.0.4, which every scraper reads, whatever it asks for: in OpenMetrics, prometheus_client 0.26
writes `vllm_x` for `vllm:x`, and no dashboard finds that. Nothing here needs more than the plain format has.
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
"""Of scrapers at once. Each costs a thread and an open file, and the main port needs those."""
_PATIENCE_S = 5.0
"""With a scraper that says nothing."""


class Exposition(Collector):
    """Our registry, and prometheus_client's global one, where vLLM's `vllm:*` and the process's own are."""

    def __init__(self, ours: CollectorRegistry) -> None:
        self._ours = ours
        self._whole = CollectorRegistry(auto_describe=False)
        self._whole.register(self)
        self._lock = threading.Lock()
        self._begun = self._done = 0
        self._document = b""
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        """For the main port's scrapes: the loop's own has other work."""

    def collect(self) -> Iterable[Metric]:
        yield from self._ours.collect()
        yield from REGISTRY.collect()

    def render(self) -> bytes:
        """The document, as it is now. Takes tens of milliseconds of processor time: not for the event loop.

        One at a time, so that many scrapers hold up tokens no more than one does: who waits for another's to be done shares the
        next, which begins later than he came.
        """
        wanted = self._begun + 1
        with self._lock:
            if self._done < wanted:
                self._begun += 1
                self._document = generate_latest(self._whole)
                self._done = self._begun
            return self._document

    def serve(self, host: str, port: int) -> int:
        """Answer on threads of its own from now on, also while the event loop is blocked. Returns the port, which is a free one
        for 0. Raises `StartError`.
        """
        handler = type("Handler", (_Handler,), {"exposition": self})
        server_class = _Server6 if ":" in host else _Server
        try:
            server = server_class((host, port), handler)
        except OSError as error:
            raise StartError(f"Cannot bind {host}:{port}: {error.strerror}. See FIRSTWORD_METRICS_PORT.") from None
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        return int(server.server_address[1])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.Semaphore(_MOST_CONNECTIONS)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """As the base class's, without its look-up of our own name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """One too many is closed at once."""
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
        """A scraper that went away: nothing to tell, least of all with a traceback past the log."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    exposition: Exposition
    timeout = _PATIENCE_S

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":  # Or a probe of this port by mistake would be content for ever.
            self._answer(404, "text/plain", b"Only /metrics is here.\n")
        else:
            self._answer(200, CONTENT_TYPE, self.exposition.render())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Scrapes come every few seconds: nobody reads of them."""
