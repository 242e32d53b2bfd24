"""Install, upgrade, roll back and uninstall on a real API server, if KUBECONFIG names one, in a temporary namespace.

Pods need not become ready, because the images may be missing.
"""

import base64
import os
import secrets
from collections.abc import Iterator

import pytest
from helm_python import Config
from kubernetes import client
from kubernetes import config as kube_config

from tests.chart.rendering import CHART, RELEASE, Json, merged, values_of

pytestmark = pytest.mark.skipif(
    not os.environ.get("KUBECONFIG"), reason="KUBECONFIG is not set: the chart is rendered, but not installed on a cluster"
)
VALUES = values_of("cpu")
NAME = f"{RELEASE}-firstword"


@pytest.fixture
def namespace() -> Iterator[str]:
    kube_config.load_kube_config()  # type: ignore[no-untyped-call]
    name = f"firstword-test-{secrets.token_hex(4)}"
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    client.CoreV1Api().create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name, labels=restricted)))
    yield name
    client.CoreV1Api().delete_namespace(name)


def api_key(namespace: str) -> str:
    data = client.CoreV1Api().read_namespaced_secret(f"{NAME}-keys", namespace).data or {}
    return base64.b64decode(data["api-key"]).decode()


def replicas(namespace: str) -> int:
    return client.AppsV1Api().read_namespaced_deployment(f"{NAME}-default", namespace).spec.replicas or 0


def test_a_release_lives_and_keeps_its_key(namespace: str) -> None:
    more: Json = merged(VALUES, {"poolDefaults": {"replicas": 2, "cache": {"type": "perReplica"}}})
    with Config(namespace=namespace) as cluster:
        cluster.install(CHART, RELEASE, VALUES, namespace=namespace, timeout=120)
        key = api_key(namespace)
        assert replicas(namespace) == 1

        cluster.upgrade(CHART, RELEASE, more, namespace=namespace, timeout=120)
        assert (replicas(namespace), api_key(namespace)) == (2, key)

        cluster.rollback(RELEASE, timeout=120)
        assert (replicas(namespace), api_key(namespace)) == (1, key)
        assert [each["version"] for each in cluster.history(RELEASE)] == [1, 2, 3]

        cluster.uninstall(RELEASE, timeout=120)
        assert cluster.list() == []
    assert client.AppsV1Api().list_namespaced_deployment(namespace).items == []


def test_a_server_side_dry_run_takes_every_kind_it_knows(namespace: str) -> None:
    """Without operators: only core kinds, with the network policies."""
    with Config(namespace=namespace) as cluster:
        release = cluster.install(CHART, RELEASE, VALUES, namespace=namespace, dry_run="server")
    assert "NetworkPolicy" in release["manifest"]
