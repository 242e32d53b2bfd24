"""A real Prometheus on a free port, scraping as it would on a cluster: with the chart's relabelling and rules."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.process import free_port
from tests.support.service_under_test import until

CHART_FILES = Path(__file__).parents[2] / "deploy/helm/firstword/files"
RULES = sorted((CHART_FILES / "rules").glob("*.yaml"))
_NAMES = {"sourceLabels": "source_labels", "targetLabel": "target_label", "replacement": "replacement"}
"""A PodMonitor's words for relabelling, and Prometheus' own: what the operator translates."""


@dataclass(frozen=True)
class Target:
    """A pod as service discovery shows it."""

    address: str
    namespace: str
    pod: str
    release: str
    pool: str

    def as_config(self) -> dict[str, Any]:
        meta = {
            "namespace": self.namespace,
            "pod_name": self.pod,
            "pod_label_app_kubernetes_io_instance": self.release,
            "pod_label_firstword_io_pool": self.pool,
        }
        labels = {f"__meta_kubernetes_{name}": value for name, value in meta.items()}
        return {"targets": [self.address], "labels": labels}


@dataclass(frozen=True)
class Prometheus:
    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query. Fails with Prometheus' own words."""
        answer = httpx.post(f"{self.url}/api/v1/query", data={"query": expression}, timeout=30).json()
        assert answer["status"] == "success", f"{answer.get('error')}: {expression}"
        result = answer["data"]["result"]
        return [{"metric": {}, "value": result}] if answer["data"]["resultType"] == "scalar" else result

    def rules(self) -> list[dict[str, Any]]:
        groups = httpx.get(f"{self.url}/api/v1/rules", timeout=30).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def prometheus(folder: Path, targets: Sequence[Target], expositions: Mapping[str, str]) -> Iterator[Prometheus]:
    """`expositions` are the addresses of other exporters, by job; their own labels are kept."""
    program = shutil.which("prometheus")
    assert program, "Prometheus is not installed: make prometheus"
    relabelings = yaml.safe_load((CHART_FILES / "relabelings.yaml").read_text())
    pods = {
        "job_name": "pods",
        "static_configs": [target.as_config() for target in targets],
        "relabel_configs": [{_NAMES[name]: value for name, value in rule.items()} for rule in relabelings],
    }
    others = [
        {"job_name": job, "honor_labels": True, "metrics_path": f"/{path}", "static_configs": [{"targets": [address]}]}
        for job, (address, path) in ((job, url.split("/", 1)) for job, url in expositions.items())
    ]
    config = {
        # The seconds of a cluster's minutes: rates over a minute are as good with them.
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(file) for file in RULES],
        "scrape_configs": [pods, *others],
    }
    file, data, port = folder / "prometheus.yml", folder / "data", free_port()
    file.write_text(json.dumps(config))
    command = [program, f"--config.file={file}", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        running = Prometheus(f"http://127.0.0.1:{port}")
        until(lambda: _is_ready(running.url), within_s=30)
        yield running
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder's files over HTTP, as exporters would say them; gives the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Exporter, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class _Exporter(SimpleHTTPRequestHandler):
    extensions_map = {".prom": "text/plain; version=0.0.4"}  # noqa: RUF012  # as the base class has it

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        pass


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1).status_code == 200
    except httpx.HTTPError:
        time.sleep(0.1)
        return False
