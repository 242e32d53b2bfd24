"""A cluster without problems, and preflight as a read-only client."""

from typing import Any

import pytest
import yaml

from tests.chart.rendering import FOLDER, SCENARIOS
from tests.preflight.looking import Looker, finding, findings_text, not_passed
from tests.preflight.right_cluster import KINDS, PODS, node, pod, pool, right, values


def test_all_is_well(looked: Looker) -> None:
    report = looked(right(), values())
    assert not_passed(report) == {}, findings_text(report)
    assert report.verdict == "pass"
    assert (report.cluster, report.namespace, report.release) == ("test", "calls", "firstword")
    assert report.counts.passed == len(report.findings) > 20


def test_only_what_is_switched_on_is_asked_for(looked: Looker) -> None:
    """The minimum: a source of API keys and one GPU, without a gateway and operators."""
    bare = tuple(kind for kind in KINDS if "." in kind.split("/")[0] and ".k8s.io" not in kind.split("/")[0])
    minimal = {"keys": {"generate": True}, "poolDefaults": {"replicas": 2}}
    report = looked(right(), minimal, without=bare)
    assert not_passed(report) == {}, findings_text(report)


def test_a_pool_without_gpus_asks_for_none(looked: Looker) -> None:
    objects = dict([node("cpu-1", 0)]) | {key: each for key, each in right().items() if key[0] == "v1/namespaces"}
    report = looked(objects, {"keys": {"generate": True}, "poolDefaults": {"replicas": 2, "gpu": {"enabled": False}}})
    assert not_passed(report) == {"monitoring.off": "warn"}, findings_text(report)
    assert "cluster.device-plugin" not in findings_text(report)


def test_every_request_is_a_get(looked: Looker) -> None:
    servers: list[Any] = []
    looked(right(), values(), setup=servers.append)
    requests = list(servers[0])
    assert len(requests) > 10
    assert {request.method.value for request in requests} == {"GET"}


def test_what_runs_of_the_release_is_not_counted_as_taken(looked: Looker) -> None:
    """At an upgrade the old pods have the GPUs that the new ones will get."""
    ours = {"app.kubernetes.io/name": "firstword", "app.kubernetes.io/instance": "firstword", "firstword.io/pool": "default"}
    objects = {key: document for key, document in right().items() if key[2] != "training"}
    objects |= dict([pod("old-1", "gpu-1", "calls", 8, labels=ours), pod("old-2", "gpu-2", "calls", 8, labels=ours)])
    eight = pool(gpu={"count": 8}, rollout={"spareGpus": False})
    assert finding(looked(objects, eight), "pool.capacity").outcome == "pass"
    for key in [(PODS, "calls", "old-1"), (PODS, "calls", "old-2")]:
        objects[key]["metadata"]["labels"]["app.kubernetes.io/instance"] = "another"
    assert finding(looked(objects, eight), "pool.capacity").outcome == "fail"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_example_of_the_chart_breaks_a_check(scenario: str, looked: Looker) -> None:
    report = looked(right(), yaml.safe_load((FOLDER / f"ci/{scenario}-values.yaml").read_text()))
    assert {each.pool for each in report.findings} > {None}
