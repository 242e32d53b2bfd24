"""A pool's values with each kind of problem."""

import re
from typing import Any

import pytest

from tests.preflight.looking import Looker, finding, findings_text, not_passed
from tests.preflight.right_cluster import Json, pool, right, values


@pytest.mark.parametrize(
    ("kind", "key", "check"),
    [
        ("node.k8s.io/v1/runtimeclasses", "runtimeClassName", "pool.runtime-class"),
        ("scheduling.k8s.io/v1/priorityclasses", "priorityClassName", "pool.priority-class"),
    ],
)
def test_a_class_that_is_missing(kind: str, key: str, check: str, looked: Looker) -> None:
    report = looked({name: document for name, document in right().items() if name[0] != kind}, values())
    assert not_passed(report) == {check: "fail"}, findings_text(report)
    assert f"Set {key} " in (finding(report, check).fix or "")


@pytest.mark.parametrize(
    ("over", "minutes"),
    [
        # 70 s for the old pod to end, 1800 to start, 600 to download.
        ({}, 42),
        ({"model": {"name": "embedded"}}, 32),
        ({"cache": {"offline": True}}, 32),
        ({"lifecycle": {"startupSeconds": 531, "downloadSeconds": 0}}, 11),
        ({"autoscaling": {"enabled": True, "minReplicas": 1, "maxReplicas": 3, "turnsPerSecond": 1.0}, "replicas": 3}, 42),
    ],
)
def test_a_rollout_that_is_an_outage(over: Json, minutes: int, looked: Looker) -> None:
    report = looked(right(), pool(**{"replicas": 1, "rollout": {"spareGpus": False}, **over}))
    found = finding(report, "pool.rollout")
    assert found.outcome == "warn"
    assert found.seen.endswith(f" {minutes} min")
    assert report.verdict == ("fail" if "autoscaling" in over else "pass"), findings_text(report)


def test_a_rollout_that_is_none(looked: Looker) -> None:
    for over in ({"replicas": 1, "rollout": {"spareGpus": True}}, {"replicas": 2, "rollout": {"spareGpus": False}}):
        assert finding(looked(right(), pool(**over)), "pool.rollout").outcome == "pass"


@pytest.mark.parametrize(
    ("over", "seen"),
    [
        ({"gpu": {"count": 0}}, "gpu.count is 0\\b"),
        ({"gpu": {"enabled": False}, "nodes": 2}, "nodes is 2\\b"),
        ({"autoscaling": {"enabled": True}}, "autoscaling.turnsPerSecond is 0$"),
        (
            {"autoscaling": {"enabled": True, "minReplicas": 4, "maxReplicas": 2, "turnsPerSecond": 1.0}},
            r"autoscaling\.minReplicas is 4\b.*maxReplicas.* 2$",
        ),
        (
            {"resources": {"requests": {"cpu": "4", "memory": "32Gi"}, "limits": {"memory": "24Gi"}}},
            "resources.requests.memory is 32Gi.*limits.* 24Gi$",
        ),
        ({"resources": {"limits": {"memory": "24Gi", "cpu": "500m"}}}, "resources.requests.cpu is 4.*limits.* 500m$"),
        ({"shmGiB": 32}, "32Gi.*resources.limits.memory.* 24Gi$"),
        ({"gpu": {"count": 8}}, "17Gi.*resources.limits.memory.* 24Gi$"),
        ({"adapters": [{"name": "booking"}]}, "adapters.*repo.*path.*booking"),
    ],
)
def test_values_that_do_not_go_together(over: dict[str, Any], seen: str, looked: Looker) -> None:
    found = finding(looked(right(), pool(**over)), "pool.values")
    assert found.outcome == "fail"
    assert re.search(seen, found.seen)


def test_names_of_pools(looked: Looker) -> None:
    twins = values(pools=[{"name": "same", "hostname": "a.example.com"}, {"name": "same", "hostname": "b.example.com"}])
    assert finding(looked(right(), twins), "pool.values").seen.endswith(" same")


@pytest.mark.parametrize("way", ["gateway", "ingress"])
def test_host_names(way: str, looked: Looker) -> None:
    given = pool(hostname="")
    if way == "ingress":
        given |= {"gateway": {}, "ingress": {"enabled": True, "className": "nginx"}}
    report = looked(right(), given)
    assert not_passed(report) == {"pool.hostname": "fail"}, findings_text(report)
    assert finding(report, "pool.hostname").seen.startswith(f"{way}.enabled ")


def test_a_host_name_of_two(looked: Looker) -> None:
    report = looked(right(), values(pools=[{"name": "one"}, {"name": "two"}]))
    assert (finding(report, "pool.hostname").outcome, "voice.example.com" in finding(report, "pool.hostname").seen) == (
        "fail",
        True,
    )
    split = {"name": "trial", "hostname": "voice.example.com", "shares": [{"pool": "default", "weight": 1}]}
    given = values()
    given["gateway"]["splits"] = [split]
    assert finding(looked(right(), given), "pool.hostname").outcome == "fail"


def test_findings_say_which_pool(looked: Looker) -> None:
    given = values(
        pools=[{"name": "good", "hostname": "a.example.com"}, {"name": "bad", "hostname": "b.example.com", "gpu": {"count": 16}}]
    )
    report = looked(right(), given)
    assert {each.pool for each in report.findings if each.outcome == "fail"} == {"bad"}, findings_text(report)


@pytest.mark.parametrize(
    ("over", "check"),
    [
        ({"affinity": {"nodeAffinity": "gpu"}}, "pool.nodes"),
        ({"tolerations": [{"key": ["a"], "operator": 3}]}, None),
        ({"engineArgs": {"gpu_memory_utilization": "much"}}, "pool.gpu-memory"),
    ],
)
def test_what_kubernetes_would_refuse_does_not_stop_the_other_checks(over: Json, check: str | None, looked: Looker) -> None:
    report = looked(right(), pool(**over))
    assert finding(report, "pool.rollout").outcome == "pass"
    if check is not None:
        assert finding(report, check).seen.startswith("not checked")
