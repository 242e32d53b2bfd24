"""The Kubernetes API: large, without permission, slow, absent, or not a Kubernetes API."""

import json
import socket
from pathlib import Path
from typing import Any

import kmock
import pytest

from service.preflight.cluster.client import Cluster
from service.preflight.finding import PreflightError
from service.preflight.kubernetes_types import quantity
from tests.preflight.looking import Looker, api, finding, findings_text, forbid, kubeconfig, not_passed
from tests.preflight.right_cluster import NODES, node, right, values

# Kinds that preflight reads. For each: the permission, and the checks that cannot run without it.
PERMISSIONS = {
    "v1/secrets": ("get on secrets", {"keys.secret", "keys.plain", "secrets.pull", "pool.hub-token"}),
    "v1/resourcequotas": ("list on resourcequotas", {"namespace.quota"}),
    "v1/limitranges": ("list on limitranges", {"namespace.limit-range"}),
    "storage.k8s.io/v1/storageclasses": ("list on storageclasses.storage.k8s.io", {"pool.storage"}),
    "node.k8s.io/v1/runtimeclasses": ("get on runtimeclasses.node.k8s.io", {"pool.runtime-class"}),
    "scheduling.k8s.io/v1/priorityclasses": ("get on priorityclasses.scheduling.k8s.io", {"pool.priority-class"}),
    "gateway.networking.k8s.io/v1/gateways": ("get on gateways.gateway.networking.k8s.io", {"gateway.parents"}),
    "monitoring.coreos.com/v1/prometheuses": (
        "list on prometheuses.monitoring.coreos.com",
        {"monitoring.scraped", "monitoring.rules"},
    ),
}


@pytest.mark.parametrize("kind", PERMISSIONS)
def test_a_permission_that_is_missing_is_a_warning(kind: str, looked: Looker) -> None:
    permission, blind = PERMISSIONS[kind]
    report = looked(right(), values(), setup=forbid(kind))
    warned = {each.check for each in report.findings if permission in each.seen}
    assert blind <= warned, findings_text(report)
    assert set(not_passed(report).values()) == {"warn"}
    assert report.verdict == "pass"


@pytest.mark.usefixtures("no_pauses")
def test_a_server_error_is_a_warning_of_that_check(looked: Looker) -> None:
    def broken(server: Any) -> None:
        server[kmock.resource("v1/resourcequotas")] << 500

    report = looked(right(), values(), setup=broken)
    assert not_passed(report) == {"namespace.quota": "warn"}, findings_text(report)
    assert "status 500" in finding(report, "namespace.quota").seen


def test_lists_come_in_pages(looked: Looker) -> None:
    """The first page of nodes has no matching node."""
    asked = []

    def paged(server: Any) -> None:
        def page(request: kmock.Request) -> Any:
            asked.append(dict(request.params))
            documents = {key[2]: document for key, document in right().items() if key[0] == NODES}
            if "continue" not in request.params:
                return {"metadata": {"continue": "next/page=2"}, "items": [documents["cpu-1"]]}
            return {"metadata": {}, "items": [documents["gpu-1"], documents["gpu-2"]]}

        server["get /api/v1/nodes"] << page

    report = looked(right(), values(), setup=paged)
    assert not_passed(report) == {}, findings_text(report)
    assert asked == [{"limit": "500"}, {"limit": "500", "continue": "next/page=2"}]


def test_a_large_cluster_is_told_in_short(looked: Looker) -> None:
    objects = right() | dict(node(f"more-{number}", 8) for number in range(600))
    report = looked(objects, values())
    assert not_passed(report) == {}, findings_text(report)
    assert finding(report, "pool.nodes").seen.startswith("of 603 nodes, 602 ")
    assert finding(report, "pool.nodes").seen.endswith(": gpu-1, gpu-2, more-0 and 599 more")


def cannot_look(url: str, folder: Path, looked: str = "/version") -> str:
    with pytest.raises(PreflightError) as refused:
        Cluster.connect(kubeconfig=kubeconfig(url, folder), context=None).get(looked)
    return str(refused.value)


def test_nobody_is_there(tmp_path: Path) -> None:
    assert cannot_look("http://127.0.0.1:9", tmp_path).startswith("The cluster test cannot be reached: ")


def test_somebody_who_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.preflight.cluster.client._TIMEOUTS_S", (0.3, 0.3))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "cannot be reached" in cannot_look(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)


@pytest.mark.parametrize(
    ("answer", "words"), [(b"<html>", "not a Kubernetes API"), ([1], "not a Kubernetes API"), (401, "credentials (401)")]
)
def test_an_answer_that_is_no_kubernetes_api(answer: Any, words: str, tmp_path: Path) -> None:
    def answering(server: Any) -> None:
        server["get /path"] << answer

    with api({}, setup=answering) as url:
        assert words in cannot_look(url, tmp_path, "/path")


def test_the_token_is_shown_to_the_api(tmp_path: Path) -> None:
    servers: list[Any] = []
    with api({}, setup=servers.append) as url:
        Cluster.connect(kubeconfig=kubeconfig(url, tmp_path), context=None).get("/version")
        assert [request.headers["Authorization"] for request in servers[0]] == ["Bearer a-token"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "The kubeconfig cannot be used"),
        ("[1, 2]", "The kubeconfig cannot be used"),
        ("a: [", "The kubeconfig cannot be used"),
        (json.dumps({"contexts": [], "clusters": [], "users": []}), "The kubeconfig cannot be used"),
    ],
)
def test_a_kubeconfig_that_is_none(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(PreflightError, match=words):
        Cluster.connect(kubeconfig=file, context=None)


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=r"no context prod\b.*\btest"):
        Cluster.connect(kubeconfig=kubeconfig("http://127.0.0.1:9", tmp_path), context="prod")


def test_where_the_kubeconfig_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(PreflightError, match="no kubeconfig and no pod"):
        Cluster.connect(kubeconfig=None, context=None)
    with pytest.raises(PreflightError, match=r"kubeconfig .*/none does not exist"):
        Cluster.connect(kubeconfig=tmp_path / "none", context=None)
    file = kubeconfig("http://127.0.0.1:9", tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert Cluster.connect(kubeconfig=None, context=None).namespace == "calls"
    monkeypatch.delenv("KUBECONFIG")
    (tmp_path / ".kube").mkdir()
    file.rename(tmp_path / ".kube/config")
    assert Cluster.connect(kubeconfig=None, context="test").name == "test"


def test_in_a_pod_it_is_the_pods_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import incluster_config  # noqa: PLC0415

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for name, text in {"token": "a-token", "ca.crt": "a certificate", "namespace": "voice\n"}.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr("service.preflight.cluster.client._ACCOUNT", tmp_path)
    cluster = Cluster.connect(kubeconfig=None, context=None)
    assert (cluster.namespace, cluster.name) == ("voice", "https://10.0.0.1:443")


@pytest.mark.parametrize(("text", "number"), [("500m", 0.5), ("24Gi", 24 * 2**30), (4, 4), ("1e3", 1000), ("0", 0)])
def test_quantities(text: object, number: float) -> None:
    assert float(quantity(text)) == number
