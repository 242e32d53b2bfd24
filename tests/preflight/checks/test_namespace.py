"""Version, namespace, quota and limits with each kind of problem."""

import re

import pytest

from tests.preflight.looking import Looker, finding, findings_text, not_passed
from tests.preflight.right_cluster import QUOTAS, RANGES, Json, Objects, pod, pool, right, values

NAMESPACE = ("v1/namespaces", None, "calls")
LEVEL = "pod-security.kubernetes.io/enforce"


def quota(hard: Json, used: Json | None = None, **spec: object) -> Json:
    return {"metadata": {"name": "team"}, "spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used or {}}}


@pytest.mark.parametrize(
    ("version", "outcome"), [("v1.30.9", "warn"), ("v1.31.0-eks-1", "pass"), ("v2.0.1", "pass"), ("?", "warn")]
)
def test_the_version(version: str, outcome: str, looked: Looker) -> None:
    found = finding(looked(right(), values(), version=version), "cluster.version")
    assert (found.outcome, found.seen) == (outcome, version)


def test_no_namespace(looked: Looker) -> None:
    objects = right()
    del objects[NAMESPACE]
    report = looked(objects, values())
    assert not_passed(report) == {"namespace.exists": "fail"}, findings_text(report)
    assert "kubectl create namespace calls" in (finding(report, "namespace.exists").fix or "")


@pytest.mark.parametrize(
    ("level", "outcome"), [("privileged", "warn"), ("baseline", "pass"), ("restricted", "pass"), (None, "pass")]
)
def test_pod_security(level: str | None, outcome: str, looked: Looker) -> None:
    objects = right()
    objects[NAMESPACE]["metadata"]["labels"] = {LEVEL: level} if level else {}
    assert finding(looked(objects, values()), "namespace.pod-security").outcome == outcome


@pytest.mark.parametrize(
    ("hard", "used", "seen"),
    [
        ({"requests.nvidia.com/gpu": "2"}, {}, r"requests.nvidia.com/gpu .*2 of 2\b.*\b3$"),
        ({"requests.nvidia.com/gpu": "8"}, {"requests.nvidia.com/gpu": "6"}, r"\b2 of 8\b.*\b3$"),
        ({"pods": "2"}, {}, r"pods .*2 of 2\b.*\b4$"),
        ({"requests.cpu": "10"}, {}, r"requests.cpu .*10 of 10\b.*\b13$"),
        ({"cpu": "10"}, {}, r" cpu .*10 of 10\b.*\b13$"),
        ({"requests.memory": "64Gi"}, {}, r"requests.memory .*64Gi of 64Gi\b.*\b73Gi$"),
        ({"limits.memory": "64Gi"}, {}, r"limits.memory .*64Gi of 64Gi\b.*\b73Gi$"),
        ({"persistentvolumeclaims": "0"}, {}, r"persistentvolumeclaims .*0 of 0\b.*\b1$"),
        ({"requests.storage": "100Gi"}, {}, r"requests.storage .*100Gi of 100Gi\b.*\b200Gi$"),
    ],
)
def test_a_quota_without_room(hard: Json, used: Json, seen: str, looked: Looker) -> None:
    """The release needs two replicas, the spare one of a rollout, and the pod of `helm test`."""
    report = looked(right() | {(QUOTAS, "calls", "team"): quota(hard, used)}, values())
    assert not_passed(report) == {"namespace.quota": "fail"}, findings_text(report)
    assert re.search(seen, finding(report, "namespace.quota").seen)


def test_a_quota_with_room(looked: Looker) -> None:
    hard = {"requests.nvidia.com/gpu": "3", "pods": "4", "requests.cpu": "13", "services": "0", "count/deployments.apps": "0"}
    report = looked(right() | {(QUOTAS, "calls", "team"): quota(hard)}, values())
    assert (finding(report, "namespace.quota").outcome, "team" in finding(report, "namespace.quota").seen) == ("pass", True)


def test_a_quota_that_counts_our_own_pods(looked: Looker) -> None:
    """At an upgrade of two replicas, the quota counts their resources already."""
    ours = {"app.kubernetes.io/name": "firstword", "app.kubernetes.io/instance": "firstword", "firstword.io/pool": "default"}
    objects = right() | dict([pod("old-1", "gpu-1", "calls", 1, labels=ours), pod("old-2", "gpu-2", "calls", 1, labels=ours)])
    full = quota({"requests.nvidia.com/gpu": "3"}, {"requests.nvidia.com/gpu": "2"})
    assert finding(looked(objects | {(QUOTAS, "calls", "team"): full}, values()), "namespace.quota").outcome == "pass"


def test_a_quota_of_some_pods_may_not_be_ours(looked: Looker) -> None:
    scoped = quota({"pods": "0"}, scopes=["BestEffort"])
    report = looked(right() | {(QUOTAS, "calls", "team"): scoped}, values())
    assert not_passed(report) == {"namespace.quota": "warn"}, findings_text(report)


def test_a_quota_of_limits_refuses_pods_without(looked: Looker) -> None:
    objects = right() | {(QUOTAS, "calls", "team"): quota({"limits.cpu": "100"})}
    report = looked(objects, values())
    assert not_passed(report) == {"namespace.quota": "fail"}, findings_text(report)
    seen = finding(report, "namespace.quota").seen
    assert "team" in seen and "cpu of pool default, cpu of check and load test" in seen
    objects[(RANGES, "calls", "limits")] = {"spec": {"limits": [{"type": "Container", "default": {"cpu": "8"}}]}}
    assert finding(looked(objects, values()), "namespace.quota").outcome == "pass"


@pytest.mark.parametrize(
    ("limit", "seen"),
    [
        ({"type": "Container", "max": {"cpu": "2"}}, r"pool default: cpu 4 .* 2$"),
        ({"type": "Pod", "max": {"memory": "16Gi"}}, r"pool default: memory 24Gi .* 16Gi$"),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "50Gi"}}, r"storage 200Gi .* 50Gi$"),
    ],
)
def test_a_limit_range(limit: Json, seen: str, looked: Looker) -> None:
    report = looked(right() | {(RANGES, "calls", "limits"): {"spec": {"limits": [limit]}}}, values())
    assert not_passed(report) == {"namespace.limit-range": "fail"}, findings_text(report)
    assert re.search(seen, finding(report, "namespace.limit-range").seen)


def test_a_limit_range_of_a_small_pool(looked: Looker) -> None:
    limit = {"type": "Container", "max": {"cpu": "2", "memory": "8Gi"}}
    small = pool(resources={"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi"}})
    report = looked(right() | {(RANGES, "calls", "limits"): {"spec": {"limits": [limit]}}}, small)
    assert not_passed(report) == {}, findings_text(report)


def test_pickers_and_load_tests_are_counted(looked: Looker) -> None:
    """Three servers, two pickers and the spare one of a rollout, the check, and Locust's master and two workers."""
    given = values(inferencePool={"enabled": True, "replicas": 2}, loadTest={"enabled": True})
    report = looked(right() | {(QUOTAS, "calls", "team"): quota({"pods": "9"})}, given)
    assert re.search(r"pods .*9 of 9\b.*\b10$", finding(report, "namespace.quota").seen)
    assert (
        finding(looked(right() | {(QUOTAS, "calls", "team"): quota({"pods": "10"})}, given), "namespace.quota").outcome == "pass"
    )


def test_limits_that_a_limit_range_gives(looked: Looker) -> None:
    """They count in a quota and must not be below the requests."""
    default = {"cpu": "8"}
    ranges: Objects = {(RANGES, "calls", "limits"): {"spec": {"limits": [{"type": "Container", "default": default}]}}}
    report = looked(right() | ranges | {(QUOTAS, "calls", "team"): quota({"limits.cpu": "20"})}, values())
    assert re.search(r"^team: limits.cpu .*20 of 20\b.*\b32$", finding(report, "namespace.quota").seen)
    default["cpu"] = "500m"
    found = finding(looked(right() | ranges, values()), "namespace.limit-range")
    assert found.outcome == "fail"
    assert re.search(r"^pool default: cpu .*4\b.* 0\.5$", found.seen)


def test_a_pool_on_the_nodes_disk_asks_for_it_in_a_quota(looked: Looker) -> None:
    hard = quota({"requests.ephemeral-storage": "500Gi"})
    report = looked(right() | {(QUOTAS, "calls", "team"): hard}, pool(cache={"type": "emptyDir"}))
    assert re.search(r"500Gi of 500Gi\b.*\b600Gi$", finding(report, "namespace.quota").seen)
