"""The load test's Job waits for the pool, and its deadline allows for the wait."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chart.rendering import MINIMAL, Json, Pod, merged, render, scenario, values_of
from tests.support.http_server import Quiet, answering

LOAD_TEST: Json = {"loadTest": {"enabled": True, "seconds": 600}}


def of_load_test(pods: list[Pod]) -> list[Pod]:
    return [pod for pod in pods if pod.labels["app.kubernetes.io/component"] == "load-test"]


@contextmanager
def pool(*statuses: int) -> Iterator[str]:
    """Serve a pool that answers with `statuses` and repeats the last one. Yields its URL."""
    left = list(statuses)

    class Handler(Quiet):
        def do_GET(self) -> None:
            status = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status if self.path == "/readyz" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

    with answering(Handler) as url:
        yield url


def wait(url: str, seconds: str) -> subprocess.CompletedProcess[str]:
    """Run the init container's command with a shorter pause."""
    first = of_load_test(scenario("kitchen-sink").pods)[0].spec["initContainers"][0]
    _, *command = first["command"]
    return subprocess.run(
        [sys.executable, *command, f"{url}/readyz", seconds, "0.01"], capture_output=True, text=True, timeout=30, check=False
    )


def test_it_waits_until_the_pool_is_ready_for_good() -> None:
    """The first 200 comes from the pod that the upgrade ends."""
    with pool(200, 503, 503, 200, 200, 200) as url:
        done = wait(url, "20")
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert "not ready after 0 s of 20 s" in first and "503" in first
    assert last == f"ready: {url}/readyz"


@pytest.mark.parametrize("is_there", [True, False])
def test_it_gives_up_and_says_what_it_saw(is_there: bool) -> None:
    with pool(503) as url:
        if is_there:
            done = wait(url, "0.2")
    if not is_there:
        done = wait(url, "0.2")
    assert done.returncode == 1
    assert "given up" in done.stderr
    assert ("503" if is_there else "refused") in done.stderr


@pytest.mark.parametrize(("name", "asked"), [("kitchen-sink", "small"), ("cpu", "default")])
def test_master_and_workers_wait_for_the_pool_that_is_called(name: str, asked: str) -> None:
    pods = of_load_test(render(merged(values_of(name), LOAD_TEST)).pods)
    assert len(pods) == 2
    for pod in pods:
        (first,) = pod.spec["initContainers"]
        assert first["args"][0] == f"http://voice-firstword-{asked}.calls.svc/readyz"
        assert not first.get("env"), "it needs no key"


@pytest.mark.parametrize(
    ("lifecycle", "wait_s"),
    [({}, 70 + 600 + 1800), ({"startupSeconds": 300, "downloadSeconds": 0, "lameduckSeconds": 50}, 100 + 300)],
)
def test_waiting_is_within_the_deadline(lifecycle: Json, wait_s: int) -> None:
    """The wait covers an old pod's end and a new pod's download and load. The rest of the deadline stays the same."""
    pods = of_load_test(render(merged(merged(MINIMAL, LOAD_TEST), {"poolDefaults": {"lifecycle": lifecycle}})).pods)
    for pod in pods:
        assert pod.spec["initContainers"][0]["args"][1] == str(wait_s)
        assert pod.owner["spec"]["activeDeadlineSeconds"] == wait_s + 300 + 600 + 300 + 900
