"""APIs, gateways and ingress classes that are missing or wrong."""

import re
from typing import Any

import pytest

from tests.preflight.looking import Looker, finding, findings_text, not_passed
from tests.preflight.right_cluster import GATEWAYS, Json, pool, right, values

SCALED: Json = {
    **pool(autoscaling={"enabled": True, "minReplicas": 2, "maxReplicas": 3, "turnsPerSecond": 5.0}),
    "prometheus": {"url": "http://prometheus-operated.monitoring.svc:9090"},
}
WIDE = pool(nodes=2)
PICKED = values(inferencePool={"enabled": True})
VAULT = values(keys={"externalSecret": {"enabled": True, "storeName": "vault", "remoteKey": "voice"}})
PUBLIC = (GATEWAYS, "gateways", "public")


@pytest.mark.parametrize(
    ("given", "kind", "seen", "fix"),
    [
        (values(), "gateway.networking.k8s.io/v1/httproutes", "gateway.enabled needs httproutes", "Install the Gateway API"),
        (SCALED, "keda.sh/v1alpha1/scaledobjects", "autoscaling.enabled (pool default)", "Install KEDA"),
        (WIDE, "leaderworkerset.x-k8s.io/v1/leaderworkersets", "nodes above 1 (pool default)", "Install LeaderWorkerSet"),
        (PICKED, "inference.networking.k8s.io/v1/inferencepools", "inferencePool.enabled", "Inference Extension"),
        (VAULT, "external-secrets.io/v1/externalsecrets", "keys.externalSecret.enabled", "External Secrets Operator"),
        (values(), "monitoring.coreos.com/v1/podmonitors", "monitoring.podMonitor.enabled", "the Prometheus Operator"),
        (values(), "monitoring.coreos.com/v1/prometheusrules", "monitoring.rules.enabled", "the Prometheus Operator"),
    ],
)
def test_an_api_that_is_missing(given: Json, kind: str, seen: str, fix: str, looked: Looker) -> None:
    objects = {key: document for key, document in right().items() if key[0] != kind}
    report = looked(objects, given, without=(kind,))
    found = finding(report, "cluster.apis")
    assert found.outcome == "fail", findings_text(report)
    assert seen in found.seen
    assert fix in (found.fix or "")


def test_an_api_of_an_older_version_alone(looked: Looker) -> None:
    def older(server: Any) -> None:
        server.resources["gateway.networking.k8s.io/v1beta1/httproutes"] = {}

    gateway = ("gateway.networking.k8s.io/v1/httproutes", GATEWAYS)
    objects = {key: document for key, document in right().items() if key[0] != GATEWAYS}
    found = finding(looked(objects, values(), without=gateway, setup=older), "cluster.apis")
    assert "httproutes.gateway.networking.k8s.io/v1," in found.seen and "only v1beta1" in found.seen
    assert (found.fix or "").startswith("Upgrade the Gateway API")


def listener(**allowed: Any) -> Json:
    return {"name": "https", "allowedRoutes": {"namespaces": allowed}}


@pytest.mark.parametrize(
    ("listeners", "outcome"),
    [
        ([{"name": "https"}], "fail"),  # By default only its own namespace.
        ([listener(**{"from": "Same"})], "fail"),
        ([listener(**{"from": "Selector", "selector": {"matchLabels": {"team": "voice"}}})], "fail"),
        ([listener(**{"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "calls"}}})], "pass"),
        ([listener(**{"from": "All"})], "pass"),
    ],
)
def test_whose_routes_a_gateway_takes(listeners: list[Json], outcome: str, looked: Looker) -> None:
    objects = right()
    objects[PUBLIC]["spec"]["listeners"] = listeners
    found = finding(looked(objects, values()), "gateway.parents")
    assert found.outcome == outcome
    if outcome == "fail":
        assert "gateways/public" in found.seen and "namespace calls" in found.seen


EVERYBODY: Json = {"namespaces": {"from": "All"}}


@pytest.mark.parametrize(
    ("of", "seen"),
    [
        ({"hostname": "*.example.com"}, ""),
        ({"hostname": "*.COM"}, ""),
        ({"hostname": "voice.example.com"}, ""),
        ({"hostname": "other.example.com"}, "voice.example.com.*other.example.com"),
        ({"hostname": "*.voice.example.com"}, r"voice.example.com.*\*.voice.example.com"),
        ({"protocol": "HTTP"}, ""),
        ({"protocol": "TLS"}, "gateways/public.*HTTPRoutes.*https.*TLS"),
        ({"protocol": "TCP"}, "gateways/public.*HTTPRoutes.*https.*TCP"),
        ({"allowedRoutes": EVERYBODY | {"kinds": [{"kind": "HTTPRoute"}]}}, ""),
        (
            {"allowedRoutes": EVERYBODY | {"kinds": [{"kind": "GRPCRoute"}]}},
            "gateways/public.*HTTPRoutes.*https.*HTTPS.*GRPCRoute",
        ),
        ({"allowedRoutes": EVERYBODY | {"kinds": [{"kind": "HTTPRoute", "group": "example.com"}]}}, "HTTPRoutes"),
    ],
)
def test_which_routes_a_listener_can_take(of: Json, seen: str, looked: Looker) -> None:
    objects = right()
    objects[PUBLIC]["spec"]["listeners"] = [{"name": "https", "protocol": "HTTPS", "allowedRoutes": EVERYBODY, **of}]
    report = looked(objects, values())
    assert not_passed(report) == ({"gateway.parents": "fail"} if seen else {}), findings_text(report)
    assert re.search(seen, finding(report, "gateway.parents").seen)


def test_one_of_several_listeners_for_a_hostname_is_enough(looked: Looker) -> None:
    objects, given = right(), values()
    listeners = [{"name": name, "hostname": f"{name}.example.com", "allowedRoutes": EVERYBODY} for name in ("voice", "trial")]
    objects[PUBLIC]["spec"]["listeners"] = listeners
    given["gateway"]["parentRefs"] = [
        {"name": "public", "namespace": "gateways", "sectionName": name} for name in ("voice", "trial")
    ]
    given["gateway"]["splits"] = [
        {"name": "trial", "hostname": "trial.example.com", "shares": [{"pool": "default", "weight": 1}]}
    ]
    assert not_passed(looked(objects, given)) == {}
    given["gateway"]["splits"][0]["hostname"] = "third.example.com"
    assert "third.example.com" in finding(looked(objects, given), "gateway.parents").seen


def test_a_listener_by_its_port(looked: Looker) -> None:
    given = values(gateway={"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways", "port": 80}]})
    found = finding(looked(right(), given), "gateway.parents")
    assert "gateways/public" in found.seen and "port 80" in found.seen


def test_a_gateway_that_is_missing_or_has_no_such_listener(looked: Looker) -> None:
    objects = right()
    objects[PUBLIC]["spec"]["listeners"] = [{"name": "http"}]
    found = finding(looked(objects, values()), "gateway.parents")
    assert "gateways/public has no listener https" in found.seen
    assert "sectionName" in (found.fix or "") and "http" in (found.fix or "")
    del objects[PUBLIC]
    assert finding(looked(objects, values()), "gateway.parents").outcome == "fail"
    assert "Gateway gateways/public" in finding(looked(objects, values()), "gateway.parents").seen
    nobody = values(gateway={"enabled": True})
    assert finding(looked(right(), nobody), "gateway.parents").seen.startswith("gateway.parentRefs")


def test_a_gateway_that_is_not_programmed(looked: Looker) -> None:
    objects = right()
    objects[PUBLIC]["status"] = {"conditions": [{"type": "Programmed", "status": "False"}]}
    report = looked(objects, values())
    assert not_passed(report) == {"gateway.parents": "warn"}, findings_text(report)


@pytest.mark.parametrize(
    ("class_name", "is_default", "outcome", "fix"),
    [
        ("nginx", False, "pass", ""),
        ("", True, "pass", ""),
        ("", False, "fail", "ingress.className.*nginx"),
        ("traefik", False, "fail", "ingress.className.*nginx"),
    ],
)
def test_the_ingress_class(class_name: str, is_default: bool, outcome: str, fix: str, looked: Looker) -> None:
    objects = right()
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"} if is_default else {}
    objects[("networking.k8s.io/v1/ingressclasses", None, "nginx")]["metadata"]["annotations"] = annotations
    found = finding(looked(objects, values(ingress={"enabled": True, "className": class_name})), "ingress.class")
    assert found.outcome == outcome
    assert re.search(fix, found.fix or "")


def test_no_ingress_controller(looked: Looker) -> None:
    objects = {key: document for key, document in right().items() if "ingressclasses" not in key[0]}
    assert finding(looked(objects, values(ingress={"enabled": True})), "ingress.class").outcome == "fail"
