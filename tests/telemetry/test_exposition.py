"""/metrics as scrapers get it: on the main port and on a separate port, in one format."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.parser import text_string_to_metric_families

from service.errors import StartError
from service.telemetry import exposition as exposition_module
from service.telemetry.exposition import Exposition
from tests.support.process import service_process
from tests.support.service_under_test import scripted_service, until

# Accept headers: Prometheus 2.42, Prometheus 3, a browser, and an invalid one.
ACCEPTS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5",
    "text/html",
    "application/openmetrics-text;version=abc",
)


def make_exposition(tenant: str) -> Exposition:
    registry = CollectorRegistry()
    Counter("firstword_turns", "Turns.", ("tenant",), registry=registry).labels(tenant).inc()
    return Exposition(registry)


@pytest.fixture
def engine_gauge() -> Iterator[None]:
    """A gauge that is named and registered as vLLM's metrics are."""
    gauge = Gauge("vllm:num_requests_running", "Running.")
    yield
    REGISTRY.unregister(gauge)


@pytest.mark.usefixtures("engine_gauge")
@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_scraper_gets_both_registries_in_one_document_whatever_it_asks_for(accept: str) -> None:
    exposition = make_exposition('we"ird\\ten\nant')
    answer = httpx.get(f"http://127.0.0.1:{exposition.serve('127.0.0.1', 0)}/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    parsed = [sample for metric in text_string_to_metric_families(answer.text) for sample in metric.samples]
    samples = {(sample.name, sample.labels.get("tenant")): sample.value for sample in parsed}
    assert samples["firstword_turns_total", 'we"ird\\ten\nant'] == 1
    assert samples["vllm:num_requests_running", None] == 0
    assert ("python_info", None) in samples


def test_the_main_port_answers_unless_told_not_to() -> None:
    with scripted_service() as running:
        assert "firstword_ready 1.0" in running.get("/metrics").text
        assert running.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
        assert httpx.head(f"{running.url}/metrics").status_code == 200
    with scripted_service(metrics_port=1, metrics_on_main_port=False) as running:
        assert running.get("/metrics").status_code == 404


def test_a_port_of_its_own_answers_while_the_event_loop_is_blocked() -> None:
    with scripted_service() as running:
        port = running.services.exposition.serve("127.0.0.1", 0)
        answers: list[str] = []
        # The request runs on the event loop, so an answer that needs the loop could not come.
        running.loop.call_soon_threadsafe(lambda: answers.append(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text))
        until(lambda: bool(answers))
        assert "firstword_turns_running 0.0" in answers[0]


def test_a_service_has_both_ports(tmp_path: Path) -> None:
    settings = {"engine": "scripted", "metrics_port": "0", "metrics_on_main_port": "false"}
    with service_process(tmp_path / "log", within_s=20, **settings) as running:
        address = re.search(r"Metrics at (http\S+)", running.output)
        assert address and "firstword_ready 1.0" in httpx.get(address[1]).text
        assert running.get("/metrics").status_code == 404


def test_a_port_of_its_own_has_nothing_else() -> None:
    url = f"http://127.0.0.1:{make_exposition('acme').serve('127.0.0.1', 0)}"
    assert [httpx.get(f"{url}{path}").status_code for path in ("/metrics", "/", "/readyz", "/metrics/")] == [200, 404, 404, 404]


def test_a_port_that_is_taken_is_said_with_its_setting() -> None:
    exposition = make_exposition("acme")
    port = exposition.serve("127.0.0.1", 0)
    with pytest.raises(StartError, match=f"Cannot bind 127.0.0.1:{port}: .*FIRSTWORD_METRICS_PORT"):
        exposition.serve("127.0.0.1", port)


def test_scrapers_that_say_nothing_cost_the_service_a_few_threads_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition_module._Handler, "timeout", 0.5)
    exposition = make_exposition("acme")
    port, before = exposition.serve("127.0.0.1", 0), threading.active_count()
    with ExitStack() as held:
        silent = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(100)]
        for each in silent:
            each.settimeout(10)
        # Connections above the maximum are closed at once, and the others after a time-out.
        assert [each.recv(1) for each in silent[-50:]] == [b""] * 50
        assert threading.active_count() - before <= 20
    until(lambda: threading.active_count() == before, within_s=20)
    assert "firstword_turns_total" in httpx.get(f"http://127.0.0.1:{port}/metrics").text


def test_scrapers_together_are_one_work_and_each_gets_what_is_newer_than_its_question() -> None:
    registry = CollectorRegistry()
    renders = Counter("firstword_renders", "Renders.", registry=registry)
    exposition = Exposition(registry)

    class Slow:
        def collect(self) -> Iterator[Metric]:
            renders.inc()
            time.sleep(0.05)
            yield from ()

    registry.register(Slow())
    began = registry.get_sample_value("firstword_renders_total") or 0
    with ThreadPoolExecutor(20) as scrapers:
        documents = list(scrapers.map(lambda _: exposition.render(), range(20)))
    assert all(b"firstword_renders_total" in document for document in documents)
    assert (registry.get_sample_value("firstword_renders_total") or 0) - began < 20


def test_an_address_of_version_6_is_one() -> None:
    port = make_exposition("acme").serve("::1", 0)
    assert httpx.get(f"http://[::1]:{port}/metrics").status_code == 200
