"""A metrics stack with each kind of problem."""

import pytest

from tests.preflight.looking import Looker, finding, findings_text, not_passed
from tests.preflight.right_cluster import PROMETHEUSES, Json, pool, right, values

K8S = (PROMETHEUSES, "monitoring", "k8s")
SCALING: Json = {"enabled": True, "minReplicas": 2, "maxReplicas": 3, "turnsPerSecond": 5.0}


def monitored(**pod_monitor: object) -> Json:
    return values(
        monitoring={"podMonitor": {"enabled": True, **pod_monitor}, "rules": {"enabled": True, "labels": {"release": "stack"}}}
    )


def scaled(**prometheus: str) -> Json:
    return {**pool(autoscaling=SCALING), "prometheus": prometheus}


def test_labels_that_prometheus_does_not_select_by(looked: Looker) -> None:
    report = looked(right(), monitored())
    assert not_passed(report) == {"monitoring.scraped": "fail"}, findings_text(report)
    found = finding(report, "monitoring.scraped")
    assert "monitoring/k8s" in found.seen
    assert "monitoring.podMonitor.labels to {release: stack}" in (found.fix or "")


@pytest.mark.parametrize(
    ("selector", "outcome"),
    [
        ({}, "pass"),
        (None, "fail"),
        ({"matchExpressions": [{"key": "release", "operator": "In", "values": ["stack", "other"]}]}, "pass"),
        ({"matchExpressions": [{"key": "release", "operator": "NotIn", "values": ["stack"]}]}, "fail"),
        ({"matchLabels": {"app.kubernetes.io/name": "firstword"}}, "pass"),  # A label of the chart.
    ],
)
def test_each_way_of_selecting(selector: Json | None, outcome: str, looked: Looker) -> None:
    objects = right()
    objects[K8S]["spec"]["podMonitorSelector"] = selector
    assert finding(looked(objects, values()), "monitoring.scraped").outcome == outcome


@pytest.mark.parametrize(
    ("selector", "outcome"),
    [
        ({"matchLabels": {"kubernetes.io/metadata.name": "calls"}}, "pass"),
        ({"matchLabels": {"kubernetes.io/metadata.name": "others"}}, "fail"),
        (None, "fail"),  # Only its own.
    ],
)
def test_namespaces_that_prometheus_looks_into(selector: Json | None, outcome: str, looked: Looker) -> None:
    objects = right()
    objects[K8S]["spec"]["ruleNamespaceSelector"] = selector
    found = finding(looked(objects, values()), "monitoring.rules")
    assert found.outcome == outcome
    if outcome == "fail":
        assert "namespace calls" in found.seen
        assert "ruleNamespaceSelector" in (found.fix or "")


def test_no_prometheus(looked: Looker) -> None:
    report = looked({key: document for key, document in right().items() if key != K8S}, values())
    assert not_passed(report) == {"monitoring.scraped": "warn", "monitoring.rules": "warn"}, findings_text(report)


@pytest.mark.parametrize(("lacking", "exporter"), [("state", "kube-state-metrics"), ("dcgm", "dcgm-exporter")])
def test_no_exporter(lacking: str, exporter: str, looked: Looker) -> None:
    report = looked({key: document for key, document in right().items() if key[2] != lacking}, values())
    assert not_passed(report) == {"monitoring.exporters": "warn"}, findings_text(report)
    assert exporter in finding(report, "monitoring.exporters").seen


def test_what_could_be_monitored(looked: Looker) -> None:
    report = looked(right(), values(monitoring={}))
    assert not_passed(report) == {"monitoring.off": "warn"}, findings_text(report)
    assert "monitoring.podMonitor.enabled and monitoring.rules.enabled" in finding(report, "monitoring.off").seen


@pytest.mark.parametrize(
    ("prometheus", "outcome", "words"),
    [
        ({"url": "http://prometheus-operated.monitoring.svc:9090"}, "pass", "Service monitoring/prometheus-operated"),
        ({"url": "http://prometheus-operated.monitoring.svc.cluster.local:9090/x"}, "pass", "prometheus-operated"),
        ({}, "fail", "prometheus.url"),
        ({"url": "http://prometheus.monitoring.svc:9090"}, "fail", "Service monitoring/prometheus "),
        (
            {"url": "http://prometheus-operated.monitoring.svc:9090", "triggerAuthentication": "no"},
            "fail",
            "TriggerAuthentication no ",
        ),
    ],
)
def test_whom_the_autoscaler_asks(prometheus: dict[str, str], outcome: str, words: str, looked: Looker) -> None:
    found = finding(looked(right(), scaled(**prometheus)), "autoscaling.prometheus")
    assert found.outcome == outcome
    assert words in found.seen


def test_a_prometheus_elsewhere_is_not_looked_for(looked: Looker) -> None:
    report = looked(right(), scaled(url="https://prometheus.example.com/api"))
    assert not_passed(report) == {}, findings_text(report)
