"""The server's counts: beside the endpoint, or where `--server-metrics` says; there, what cannot be read is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from loadtest.calls.server_metrics import Look, look
from loadtest.calls.target import Target

OURS = b"# TYPE firstword_refusals_total counter\nfirstword_refusals_total 3\n"


@contextmanager
def metrics_at(body: bytes, status: int = 200) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Its address, and the paths and keys that it was asked with."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()


def test_a_query_is_kept_and_the_key_stays_with_the_endpoint() -> None:
    with metrics_at(OURS) as (url, asked):
        assert look(Target("http://127.0.0.1:1"), f"{url}/federate?match[]=x&pod=a", "k-1") == Look({"refused": 3.0})
        assert look(Target(url), "", "k-1").counts == {"refused": 3.0}
        assert asked == [("/federate?match[]=x&pod=a", None), ("/metrics", "Bearer k-1")]


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b"secret", 404, "the answer has status 404"),
        (b"firstword_x{secret", 200, "the answer is not in Prometheus's text format"),
        (b"\xff", 200, "the answer is not in Prometheus's text format"),
        (b"# TYPE vllm:x counter\nvllm:x_total 1\n", 200, "the answer has no firstword_* metrics"),
    ],
)
def test_what_cannot_be_read_where_it_was_said_to_be_is_told(body: bytes, status: int, why: str) -> None:
    with metrics_at(body, status) as (url, _):
        assert look(Target("http://127.0.0.1:1"), f"{url}/metrics?token=hidden", "") == Look(
            None, f"server metrics could not be read: {why}"
        )
        assert look(Target(url), "", "") == Look(None), "no endpoint needs to have them"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1/metrics", "no answer (ConnectionRefusedError)"),
        ("127.0.0.1:9090", "--server-metrics must be a URL"),
        ("http://h:port/metrics", "--server-metrics must be a URL"),
        ("ftp://h/metrics", "--server-metrics must be a URL"),
    ],
)
def test_an_address_of_nothing_is_told(url: str, why: str) -> None:
    assert look(Target("http://127.0.0.1:1"), url, "").problem.startswith(f"server metrics could not be read: {why}")
