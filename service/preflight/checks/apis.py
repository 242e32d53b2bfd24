"""APIs, ingress classes and secret stores that the enabled features need."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.preflight.checks.definition import cluster_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, passed, some
from service.preflight.values.chart_values import Values

GATEWAY_GROUP = "gateway.networking.k8s.io"


@dataclass(frozen=True)
class Need:
    """An API that an enabled value needs."""

    switch: str
    """The value that needs the API."""
    group_version: str
    plural: str
    install: str
    """What provides the API."""


def needs(snapshot: Snapshot) -> Iterator[Need]:
    values: Values = snapshot.values
    scaled = [pool.name for pool in snapshot.plan.pools if pool.autoscaling.enabled]
    spread = [pool.name for pool in snapshot.plan.pools if pool.nodes > 1]
    operator = "the Prometheus Operator (chart kube-prometheus-stack)"
    if values.gateway.enabled:
        install = "the Gateway API (https://gateway-api.sigs.k8s.io) and a gateway that implements it"
        yield Need("gateway.enabled", f"{GATEWAY_GROUP}/v1", "httproutes", install)
    if values.inference_pool.enabled:
        install = "the Gateway API Inference Extension, v1 (https://gateway-api-inference-extension.sigs.k8s.io)"
        yield Need("inferencePool.enabled", "inference.networking.k8s.io/v1", "inferencepools", install)
    if scaled:
        yield Need(f"autoscaling.enabled (pool {some(scaled)})", "keda.sh/v1alpha1", "scaledobjects", "KEDA (https://keda.sh)")
    if spread:
        install = "LeaderWorkerSet (https://lws.sigs.k8s.io)"
        yield Need(f"nodes above 1 (pool {some(spread)})", "leaderworkerset.x-k8s.io/v1", "leaderworkersets", install)
    if values.keys.external_secret.enabled:
        install = "the External Secrets Operator (https://external-secrets.io)"
        yield Need("keys.externalSecret.enabled", "external-secrets.io/v1", "externalsecrets", install)
    if values.monitoring.pod_monitor.enabled:
        yield Need("monitoring.podMonitor.enabled", "monitoring.coreos.com/v1", "podmonitors", operator)
    if values.monitoring.rules.enabled:
        yield Need("monitoring.rules.enabled", "monitoring.coreos.com/v1", "prometheusrules", operator)


@cluster_check("cluster.apis", "The cluster has the APIs that the enabled features need")
def apis(snapshot: Snapshot) -> Iterator[Found]:
    served = []
    for need in needs(snapshot):
        group, version = need.group_version.split("/")
        name = f"{need.plural}.{group}/{version}"
        if snapshot.cluster.serves(need.group_version, need.plural):
            served.append(name)
            continue
        others = [other for other in snapshot.cluster.versions(group) if other != version]
        has = f"only {some(others)} of it" if others else "no such API"
        seen = f"{need.switch} needs {name}, and the cluster has {has}"
        yield failed(seen, f"{'Upgrade' if others else 'Install'} {need.install}, or turn the feature off.")
    if served:
        yield passed(", ".join(served))


@cluster_check("ingress.class", "The ingress class exists")
def ingress_class(snapshot: Snapshot) -> Iterator[Found]:
    ingress = snapshot.values.ingress
    if not ingress.enabled:
        return
    classes = snapshot.cluster.all("/apis/networking.k8s.io/v1/ingressclasses")
    names = [each["metadata"]["name"] for each in classes]
    key = "ingressclass.kubernetes.io/is-default-class"
    default = [each["metadata"]["name"] for each in classes if (each["metadata"].get("annotations") or {}).get(key) == "true"]
    if ingress.class_name in names or (not ingress.class_name and default):
        yield passed(ingress.class_name or default[0])
        return
    if ingress.class_name:
        seen = f"the IngressClass {ingress.class_name} does not exist"
    else:
        seen = "ingress.className is empty, and no IngressClass is the default"
    fix = f"Set ingress.className to an existing class: {some(names)}." if names else "Install an ingress controller."
    yield failed(seen, fix)


@cluster_check("keys.store", "The secret store exists")
def store(snapshot: Snapshot) -> Iterator[Found]:
    secret = snapshot.values.keys.external_secret
    if not secret.enabled or not snapshot.cluster.serves("external-secrets.io/v1", "externalsecrets"):
        return
    if not (secret.store_name and secret.remote_key):
        yield failed(
            "keys.externalSecret.storeName or remoteKey is empty",
            "Set keys.externalSecret.storeName to the store, and remoteKey to its entry.",
        )
        return
    plural = {"SecretStore": f"{snapshot.namespaced}/secretstores", "ClusterSecretStore": "clustersecretstores"}[
        secret.store_kind
    ]
    if snapshot.cluster.get(f"/apis/external-secrets.io/v1/{plural}/{secret.store_name}") is None:
        yield failed(
            f"the {secret.store_kind} {secret.store_name} does not exist",
            "Create it, or correct keys.externalSecret.storeName.",
        )
    else:
        yield passed(f"{secret.store_kind} {secret.store_name}")
