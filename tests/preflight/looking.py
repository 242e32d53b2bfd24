"""Runs preflight against a Kubernetes API on a real socket: kmock, in its own thread."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kmock
import yaml

from service.console.report import Outcome
from service.preflight.cluster.client import Cluster
from service.preflight.cluster.model_hub import ModelHub
from service.preflight.report import Finding, Report
from service.preflight.run import look
from service.preflight.values.load_values import Plan, read_values
from tests.preflight.right_cluster import KINDS, Json, Objects

Setup = Callable[[Any], object]
"""Configures the server beyond its objects."""


@contextmanager
def api(
    objects: Objects, *, without: tuple[str, ...] = (), setup: Setup = lambda _: None, version: str = "v1.34.1"
) -> Iterator[str]:
    """Serve the objects and yield the API's URL. `without` are kinds that the API does not have."""
    loop, is_up, urls = asyncio.new_event_loop(), threading.Event(), []
    stopping = asyncio.Event()

    async def serve() -> None:
        async with kmock.KubernetesEmulator() as server, kmock.Server(server) as socket:
            for kind in KINDS:
                if kind not in without:
                    server.resources[kind] = kmock.ResourceInfo()
            for key, document in objects.items():
                server.objects[key] = document
            # kmock does not serve the path of a namespace itself.
            for (kind, _, name), document in objects.items():
                if kind == "v1/namespaces":
                    server[f"get /api/v1/namespaces/{name}"] << document
            server["get /version"] << {"gitVersion": version}
            setup(server)
            urls.append(str(socket.url).rstrip("/"))
            is_up.set()
            await stopping.wait()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert is_up.wait(20)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(20)


def forbid(*kinds: str) -> Callable[[Any], None]:
    def setup(server: Any) -> None:
        for kind in kinds:
            server[kmock.resource(kind)] << 403

    return setup


def kubeconfig(url: str, folder: Path) -> Path:
    file = folder / "kubeconfig"
    context = {"cluster": "here", "user": "somebody", "namespace": "calls"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": url}}],
        "users": [{"name": "somebody", "user": {"token": "a-token"}}],
        "contexts": [{"name": "test", "context": context}],
        "current-context": "test",
    }
    file.write_text(json.dumps(document))
    return file


class Looker:
    """Runs preflight in this process, with a folder for its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self, objects: Objects, values: Json, *, hub: ModelHub | None = None, release: str = "firstword", **api_options: Any
    ) -> Report:
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        read, pools = read_values([file])
        with api(objects, **api_options) as url:
            cluster = Cluster.connect(kubeconfig=kubeconfig(url, self.folder), context=None)
            return look(Plan(read, pools, release=release, namespace=cluster.namespace), cluster, hub)


def not_passed(report: Report) -> dict[str, Outcome]:
    """Return the worst outcome of each check that did not pass."""
    found: dict[str, Outcome] = {}
    for finding in report.findings:
        if finding.outcome != "pass" and found.get(finding.check) != "fail":
            found[finding.check] = finding.outcome
    return found


def finding(report: Report, check: str) -> Finding:
    """Return the worst finding of a check."""
    order = ("fail", "warn", "skipped", "pass")
    return min((each for each in report.findings if each.check == check), key=lambda each: order.index(each.outcome))


def findings_text(report: Report) -> str:
    """Format the findings for the message of a failed assertion."""
    return "\n".join(f"{each.check} {each.outcome}: {each.seen} -> {each.fix}" for each in report.findings)
