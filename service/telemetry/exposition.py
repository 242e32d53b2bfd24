"""/metrics: ours and the engine's in one document, on the main port, on a port of its own, or on both.

Always in Prometheus' text format 0.0.4, which every scraper reads, whatever it asks for: in OpenMetrics, prometheus_client 0.26
writes `vllm_x` for `vllm:x`, and no dashboard finds that. Nothing here needs more than the plain format has.
"""

import threading
from collections.abc import Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Metric, generate_latest, make_wsgi_app
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, ThreadingWSGIServer
from prometheus_client.registry import REGISTRY, Collector

from service.errors import StartError

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Exposition(Collector):
    """Our registry, and prometheus_client's global one, where vLLM's `vllm:*` and the process's own are."""

    def __init__(self, ours: CollectorRegistry) -> None:
        self._ours = ours
        self._whole = CollectorRegistry(auto_describe=False)
        self._whole.register(self)

    def collect(self) -> Iterable[Metric]:
        yield from self._ours.collect()
        yield from REGISTRY.collect()

    def render(self) -> bytes:
        """The document. Takes tens of milliseconds of processor time: not for the event loop."""
        return generate_latest(self._whole)

    def serve(self, host: str, port: int) -> int:
        """Answer on threads of its own from now on, also while the event loop is blocked. Returns the port, which is a free one
        for 0. Raises `StartError`.
        """
        answer = make_wsgi_app(self._whole)

        def app(environ: dict[str, Any], start_response: Any) -> Any:
            return answer(environ | {"HTTP_ACCEPT": "text/plain"}, start_response)

        try:
            server = make_server(host, port, app, _Server, handler_class=_SilentHandler)
        except OSError as error:
            raise StartError(f"Cannot bind {host}:{port}: {error.strerror}. See FIRSTWORD_METRICS_PORT.") from None
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        return server.server_port


class _Server(ThreadingWSGIServer):
    daemon_threads = True


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Scrapes come every few seconds: nobody reads of them."""
