"""The metrics stack: whether a Prometheus scrapes the pods, evaluates the rules and serves the autoscaler's queries."""

import re
from collections.abc import Iterator
from typing import Literal

from service.preflight.checks.definition import cluster_check
from service.preflight.cluster.labels import selects
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, passed, some, warned
from service.preflight.kubernetes_types import Json

_API = "monitoring.coreos.com/v1"
_INSTALL = "Install a Prometheus with the operator (chart kube-prometheus-stack)."

Kind = Literal["podMonitor", "rule"]


@cluster_check("monitoring.scraped", "A Prometheus selects the PodMonitor")
def scraped(snapshot: Snapshot) -> Iterator[Found]:
    monitor = snapshot.values.monitoring.pod_monitor
    if monitor.enabled and snapshot.cluster.serves(_API, "prometheuses"):
        yield _selected(snapshot, "podMonitor", monitor.labels, "monitoring.podMonitor.labels")


@cluster_check("monitoring.rules", "A Prometheus selects the rules")
def rules(snapshot: Snapshot) -> Iterator[Found]:
    ours = snapshot.values.monitoring.rules
    if ours.enabled and snapshot.cluster.serves(_API, "prometheuses"):
        yield _selected(snapshot, "rule", ours.labels, "monitoring.rules.labels")


@cluster_check("monitoring.off", "Monitoring is on where it is available")
def off(snapshot: Snapshot) -> Iterator[Found]:
    monitoring = snapshot.values.monitoring
    switches = {
        "monitoring.podMonitor.enabled": (monitoring.pod_monitor.enabled, "podmonitors"),
        "monitoring.rules.enabled": (monitoring.rules.enabled, "prometheusrules"),
    }
    idle = [name for name, (is_on, plural) in switches.items() if not is_on and snapshot.cluster.serves(_API, plural)]
    if idle:
        yield warned(f"the Prometheus Operator is installed, but {' and '.join(idle)} are false", "Set them to true.")


@cluster_check("monitoring.exporters", "The other exporters that the dashboards need run")
def exporters(snapshot: Snapshot) -> Iterator[Found]:
    """Find exporters by the labels of their pods, because their namespaces and names differ."""
    if not (snapshot.values.monitoring.pod_monitor.enabled or snapshot.values.monitoring.rules.enabled):
        return
    has_gpus = any(pool.gpu.enabled for pool in snapshot.plan.pools)
    sources = {"kube-state-metrics": "the cluster's state", **({"dcgm-exporter": "GPU load and errors"} if has_gpus else {})}
    for name, what in sources.items():
        if any(app.endswith(name) for app in snapshot.usage.apps):
            yield passed(name)
        else:
            yield warned(
                f"there is no pod of {name}, so the dashboards lack {what}",
                f"Install {name}. Ignore this if it runs outside this cluster.",
            )


@cluster_check("autoscaling.prometheus", "The autoscaler's Prometheus exists")
def autoscaler(snapshot: Snapshot) -> Iterator[Found]:
    if not any(pool.autoscaling.enabled for pool in snapshot.plan.pools):
        return
    url = snapshot.values.prometheus.url
    if not url:
        fix = "Set prometheus.url, e.g. http://prometheus-operated.monitoring.svc:9090."
        yield failed("autoscaling is enabled, and prometheus.url is empty", fix)
        return
    inside = re.match(r"https?://([a-z0-9-]+)\.([a-z0-9-]+)(\.svc|\.svc\.cluster\.local)?(:\d+)?(/|$)", url)
    if inside and snapshot.cluster.get(f"/api/v1/namespaces/{inside[2]}/services/{inside[1]}") is None:
        yield failed(
            f"prometheus.url: the Service {inside[2]}/{inside[1]} does not exist",
            "Correct prometheus.url. kubectl get services -A lists the Services.",
        )
    elif inside:
        yield passed(f"Service {inside[2]}/{inside[1]}")
    name, namespace = snapshot.values.prometheus.trigger_authentication, snapshot.namespaced
    if name and snapshot.cluster.get(f"/apis/keda.sh/v1alpha1/{namespace}/triggerauthentications/{name}") is None:
        yield failed(
            f"the TriggerAuthentication {name} does not exist", "Create it, or correct prometheus.triggerAuthentication."
        )


def _selected(snapshot: Snapshot, kind: Kind, labels: dict[str, str], where: str) -> Found:
    prometheuses = snapshot.cluster.all(f"/apis/{_API}/prometheuses")
    if not prometheuses:
        return warned("there is no Prometheus resource", f"{_INSTALL} Ignore this if an agent reads {kind}s.")
    taking = [each for each in prometheuses if _takes(snapshot, each, kind, labels)]
    if taking:
        return passed(some([_name(each) for each in taking]))
    here = [each for each in prometheuses if _is_watching(snapshot, each, kind)]
    if not here:
        seen = f"{some([_name(each) for each in prometheuses])} does not watch the namespace {snapshot.plan.namespace}"
        return failed(seen, f"Set its {kind}NamespaceSelector to {{}}, or to labels of the namespace.")
    wanted = [(each["spec"].get(f"{kind}Selector") or {}).get("matchLabels") or {} for each in here]
    labels_text = next((f"{{{', '.join(f'{key}: {value}' for key, value in each.items())}}}" for each in wanted if each), None)
    seen = f"{some([_name(each) for each in here])} selects by other labels"
    return failed(seen, f"Set {where} to {labels_text or f'the labels of its {kind}Selector'}.")


def _takes(snapshot: Snapshot, prometheus: Json, kind: Kind, labels: dict[str, str]) -> bool:
    ours = {"app.kubernetes.io/name": "firstword", "app.kubernetes.io/instance": snapshot.plan.release, **labels}
    return _is_watching(snapshot, prometheus, kind) and selects(prometheus["spec"].get(f"{kind}Selector"), ours)


def _is_watching(snapshot: Snapshot, prometheus: Json, kind: Kind) -> bool:
    """Check whether it watches our namespace. Without a namespace selector it watches only its own."""
    selector = prometheus["spec"].get(f"{kind}NamespaceSelector")
    if selector is None:
        return bool(prometheus["metadata"]["namespace"] == snapshot.plan.namespace)
    return selects(selector, {**snapshot.namespace_labels, "kubernetes.io/metadata.name": snapshot.plan.namespace})


def _name(prometheus: Json) -> str:
    return f"{prometheus['metadata']['namespace']}/{prometheus['metadata']['name']}"
