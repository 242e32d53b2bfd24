"""Preflight and the chart refuse the same values."""

from typing import Any

import pytest

from service.preflight.finding import PreflightError
from tests.chart.rendering import MINIMAL, SCENARIOS, Json, merged, scenario, values_of
from tests.chart.test_refusals import CANNOT_WORK, NOT_OF_THIS_KIND
from tests.preflight.looking import Looker, finding, findings_text, not_passed
from tests.preflight.right_cluster import GATEWAYS, pool, right

# Checks that refuse values, independent of the cluster.
OF_VALUES = {
    "chart.values",
    "pool.values",
    "pool.hostname",
    "pool.storage",
    "keys.way",
    "keys.store",
    "gateway.parents",
    "autoscaling.prometheus",
}


def cluster() -> dict[Any, Json]:
    """A cluster with all objects that the values name."""
    taking = [{"name": "http", "allowedRoutes": {"namespaces": {"from": "All"}}}]
    return right() | {(GATEWAYS, "calls", "public"): {"metadata": {"name": "public"}, "spec": {"listeners": taking}}}


@pytest.mark.parametrize("name", [*CANNOT_WORK, *NOT_OF_THIS_KIND])
def test_what_the_chart_refuses(name: str, looked: Looker) -> None:
    values, _ = {**CANNOT_WORK, **NOT_OF_THIS_KIND}[name]
    whole = merged(MINIMAL, values)
    release = whole.pop("name", "voice") if name in CANNOT_WORK else "voice"
    try:
        report = looked(cluster(), whole, release=release)
    except PreflightError as refused:
        assert str(refused).startswith("The values are not valid:")
        return
    assert {check for check, outcome in not_passed(report).items() if outcome == "fail"} & OF_VALUES, findings_text(report)


def test_the_least_values_are_not_refused(looked: Looker) -> None:
    report = looked(cluster(), MINIMAL, release="voice")
    assert report.verdict == "pass", findings_text(report)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_example_is_refused(name: str, looked: Looker) -> None:
    report = looked(cluster(), values_of(name), release="voice")
    refused = [each for each in report.findings if each.outcome == "fail" and each.check in ("chart.values", "pool.values")]
    assert not refused, findings_text(report)


@pytest.mark.parametrize("name", SCENARIOS)
def test_variables_that_the_chart_sets(name: str, looked: Looker) -> None:
    """Every variable that the chart sets in a pod."""
    given = {each["name"] for values in _pools(values_of(name)) for each in values.get("env", [])}
    pods = [each for each in scenario(name).pods if each.role in ("server", "worker")]
    names = {variable["name"] for each in pods for container in each.containers for variable in container.get("env", ())}
    nodes = 2 if any(each.role == "worker" for each in pods) else 1
    for variable in sorted(names - given):
        report = looked(right(), pool(nodes=nodes, env=[{"name": variable, "value": "x"}]))
        assert finding(report, "pool.values").seen.startswith("env: "), variable


def _pools(values: Json) -> list[Json]:
    return [values.get("poolDefaults", {}), *values.get("pools", [])]
