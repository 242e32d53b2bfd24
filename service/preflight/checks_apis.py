"""What others must have installed for whatever is switched on: APIs, gateways, ingress classes, stores."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.preflight.cluster import Json
from service.preflight.finding import Found, cluster_check, doubtful, good, number, some, wrong
from service.preflight.labels import selects
from service.preflight.survey import Survey
from service.preflight.values import Values

_GATEWAYS = "gateway.networking.k8s.io"


@dataclass(frozen=True)
class Need:
    """An API that a switch of the values needs."""

    switch: str
    group_version: str
    plural: str
    install: str


def needs(survey: Survey) -> Iterator[Need]:
    values: Values = survey.values
    scaled = [pool.name for pool in survey.plan.pools if pool.autoscaling.enabled]
    spread = [pool.name for pool in survey.plan.pools if pool.nodes > 1]
    operator = "the Prometheus Operator (chart kube-prometheus-stack)"
    if values.gateway.enabled:
        install = "the Gateway API (https://gateway-api.sigs.k8s.io) and a gateway that implements it"
        yield Need("gateway.enabled", f"{_GATEWAYS}/v1", "httproutes", install)
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


@cluster_check("cluster.apis", "The cluster has the APIs of what is switched on")
def apis(survey: Survey) -> Iterator[Found]:
    served = []
    for need in needs(survey):
        group, version = need.group_version.split("/")
        name = f"{need.plural}.{group}/{version}"
        if survey.cluster.serves(need.group_version, need.plural):
            served.append(name)
            continue
        others = [other for other in survey.cluster.versions(group) if other != version]
        seen = f"{need.switch} needs {name}, and the cluster has {'only ' + some(others) if others else 'no such API'}"
        yield wrong(seen, f"{'Upgrade' if others else 'Install'} {need.install}, or switch it off.")
    if served:
        yield good(", ".join(served))


@cluster_check("gateway.parents", "The gateways are there, and take our routes")
def parents(survey: Survey) -> Iterator[Found]:
    gateway = survey.values.gateway
    if not gateway.enabled:
        return
    if not gateway.parent_refs:
        yield wrong("gateway.parentRefs is empty", "Name the Gateway: `- {name: my-gateway, namespace: gateways}`.")
    if survey.cluster.serves(f"{_GATEWAYS}/v1", "gateways"):
        for ref in gateway.parent_refs:
            if ref.get("kind", "Gateway") == "Gateway":
                yield _parent(survey, ref)


def _parent(survey: Survey, ref: Json) -> Found:
    namespace, name = ref.get("namespace") or survey.plan.namespace, ref.get("name")
    found = survey.cluster.get(f"/apis/{_GATEWAYS}/v1/namespaces/{namespace}/gateways/{name}")
    if found is None:
        return wrong(f"there is no Gateway {namespace}/{name}", "Create it, or correct gateway.parentRefs.")
    listeners, section = found["spec"].get("listeners") or [], ref.get("sectionName")
    fitting = [each for each in listeners if section is None or each["name"] == section]
    if not fitting:
        names = some([each["name"] for each in listeners])
        return wrong(f"{namespace}/{name} has no listener {section}", f"Set sectionName to one that it has: {names}.")
    if not any(_takes(survey, each, namespace) for each in fitting):
        seen = f"no listener of {namespace}/{name} takes routes from the namespace {survey.plan.namespace}"
        return wrong(seen, "Set its allowedRoutes.namespaces.from to All, or to a Selector that has our namespace's labels.")
    conditions = {each["type"]: each["status"] for each in found.get("status", {}).get("conditions") or ()}
    if conditions.get("Programmed") == "False":
        return doubtful(f"{namespace}/{name} is not programmed", f"kubectl -n {namespace} describe gateway {name} says why.")
    return good(f"{namespace}/{name}, {number(len(fitting), 'listener')}")


def _takes(survey: Survey, listener: Json, namespace: str) -> bool:
    allowed: dict[str, Any] = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    match allowed.get("from", "Same"):
        case "All":
            return True
        case "Selector":
            labels = {**survey.namespace_labels, "kubernetes.io/metadata.name": survey.plan.namespace}
            return selects(allowed.get("selector"), labels)
        case _:
            return namespace == survey.plan.namespace


@cluster_check("ingress.class", "The ingress class is there")
def ingress_class(survey: Survey) -> Iterator[Found]:
    ingress = survey.values.ingress
    if not ingress.enabled:
        return
    classes = survey.cluster.all("/apis/networking.k8s.io/v1/ingressclasses")
    names = [each["metadata"]["name"] for each in classes]
    key = "ingressclass.kubernetes.io/is-default-class"
    default = [each["metadata"]["name"] for each in classes if (each["metadata"].get("annotations") or {}).get(key) == "true"]
    if ingress.class_name in names or (not ingress.class_name and default):
        yield good(ingress.class_name or default[0])
        return
    seen = f"there is no IngressClass {ingress.class_name}" if ingress.class_name else "no IngressClass is the default"
    fix = f"Set ingress.className to one that there is: {some(names)}." if names else "Install an ingress controller."
    yield wrong(seen, fix)


@cluster_check("keys.store", "The store of the external secret is there")
def store(survey: Survey) -> Iterator[Found]:
    secret = survey.values.keys.external_secret
    if not secret.enabled or not survey.cluster.serves("external-secrets.io/v1", "externalsecrets"):
        return
    if not (secret.store_name and secret.remote_key):
        yield wrong(
            "storeName or remoteKey is empty", "Set keys.externalSecret.storeName and remoteKey: which store, which entry."
        )
        return
    plural = {"SecretStore": f"{survey.namespaced}/secretstores", "ClusterSecretStore": "clustersecretstores"}[secret.store_kind]
    if survey.cluster.get(f"/apis/external-secrets.io/v1/{plural}/{secret.store_name}") is None:
        yield wrong(
            f"there is no {secret.store_kind} {secret.store_name}", "Create it, or correct keys.externalSecret.storeName."
        )
    else:
        yield good(f"{secret.store_kind} {secret.store_name}")
