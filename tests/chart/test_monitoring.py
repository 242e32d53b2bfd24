"""Every metric that the chart uses exists, and the rendered rules and dashboards equal those in files/."""

import json
import re

import pytest
import yaml

from tests.chart.pools import each_scenario
from tests.chart.rendering import MINIMAL, NAMESPACE, RELEASE, Rendered, merged, render, scenario
from tests.deploy.rule_files import RECORDS
from tests.deploy.test_rules import OTHERS, OURS
from tests.support.prometheus import CHART_FILES, RULES
from tests.support.promql import matched, nodes, selectors


def triggers(rendered: Rendered) -> list[tuple[str, dict[str, str]]]:
    """Return each autoscaler's pool and query."""
    return [
        (document["metadata"]["labels"]["firstword.io/pool"], trigger["metadata"])
        for document in rendered.of("ScaledObject")
        for trigger in document["spec"]["triggers"]
        if trigger["type"] == "prometheus"
    ]


def test_there_is_something_to_ask() -> None:
    assert [pool for pool, _ in triggers(scenario("two-pools"))] == ["large"]


@each_scenario
def test_the_autoscaler_asks_for_offered_turns_of_its_pool(name: str) -> None:
    for pool, trigger in triggers(scenario(name)):
        assert nodes(trigger["query"])
        asked = selectors(trigger["query"])
        assert {str(selector.name) for selector in asked} <= OURS.keys() | RECORDS.keys()
        assert any("turns_offered" in str(selector.name) for selector in asked)
        assert all(matched(selector) == {"namespace": NAMESPACE, "release": RELEASE, "pool": pool} for selector in asked)


@each_scenario
def test_the_autoscaler_is_careful(name: str) -> None:
    """Missing data is an error, an error keeps the replicas, the minimum is above zero, and scaling down is slow."""
    for document in scenario(name).of("ScaledObject"):
        spec = document["spec"]
        (trigger,) = (each for each in spec["triggers"] if each["type"] == "prometheus")
        assert trigger["metricType"] == "AverageValue"
        assert trigger["metadata"]["ignoreNullValues"] == "false"
        assert spec["fallback"]["behavior"] == "currentReplicas"
        assert spec["minReplicaCount"] >= 1 and "idleReplicaCount" not in spec
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 300


def test_the_threshold_is_what_a_replica_carries() -> None:
    ((_, trigger),) = triggers(scenario("two-pools"))
    assert float(trigger["threshold"]) == 9.5
    (document,) = scenario("two-pools").of("ScaledObject")
    (cron,) = (each for each in document["spec"]["triggers"] if each["type"] == "cron")
    assert cron["metadata"] == {
        "timezone": "Europe/London", "start": "45 7 * * 1-5", "end": "0 19 * * 1-5", "desiredReplicas": "4"
    }  # fmt: skip


def test_rules_arrive_as_they_are() -> None:
    """Helm does not evaluate the braces in the rules."""
    expected = [group for file in RULES for group in yaml.safe_load(file.read_text())["groups"]]
    arrived = [group for document in scenario("one-gpu").of("PrometheusRule") for group in document["spec"]["groups"]]
    assert sorted(arrived, key=lambda group: group["name"]) == sorted(expected, key=lambda group: group["name"])
    for group in arrived:
        for rule in group["rules"]:
            for selector in selectors(str(rule["expr"])):
                assert str(selector.name) in OURS.keys() | RECORDS.keys() | OTHERS


def test_dashboards_arrive_as_they_are() -> None:
    files = {file.name: file.read_text() for file in (CHART_FILES / "dashboards").glob("*.json")}
    arrived: dict[str, str] = {}
    for document in render(MINIMAL).of("ConfigMap"):
        if "grafana_dashboard" in document["metadata"]["labels"]:
            arrived |= document["data"]
            assert len(json.dumps(document)) < 2**20, "more than a ConfigMap holds"
    assert {name: json.loads(text) for name, text in arrived.items()} == {name: json.loads(text) for name, text in files.items()}


def test_pools_and_releases_get_their_labels() -> None:
    (monitor,) = scenario("one-gpu").of("PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"] == yaml.safe_load((CHART_FILES / "relabelings.yaml").read_text())
    assert endpoint.get("path", "/metrics") == "/metrics"
    assert monitor["metadata"]["labels"]["release"] == "kube-prometheus-stack"


def test_the_picker_reads_figures_that_we_tell() -> None:
    pickers = [each for each in scenario("kitchen-sink").of("ConfigMap") if "picker" in each["metadata"]["labels"].values()]
    assert pickers
    for document in pickers:
        text = document["data"]["config.yaml"]
        named = set(re.findall(r"(?:firstword_|vllm:)\w+", text))
        assert named >= {"firstword_turns_waiting", "firstword_turns_running"}
        assert named <= OURS.keys() | OTHERS | {"vllm:cache_config_info"}


@pytest.mark.parametrize(
    ("switch", "kind"),
    [("podMonitor", "PodMonitor"), ("rules", "PrometheusRule"), ("dashboards", "ConfigMap")],
)
def test_each_has_a_switch(switch: str, kind: str) -> None:
    off = len(render(merged(MINIMAL, {"monitoring": {switch: {"enabled": False}}})).of(kind))
    on = len(render(merged(MINIMAL, {"monitoring": {switch: {"enabled": True}}})).of(kind))
    assert on > off
