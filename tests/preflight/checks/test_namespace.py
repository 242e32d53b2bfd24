"""Version, namespace, quota, limits: wrong in each way."""

import pytest

from tests.preflight.looking import Looker, finding, not_passed, told
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
    assert not_passed(report) == {"namespace.exists": "fail"}, told(report)
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
        ({"requests.nvidia.com/gpu": "2"}, {}, "requests.nvidia.com/gpu has 2 of 2 left, and 3 are needed"),
        ({"requests.nvidia.com/gpu": "8"}, {"requests.nvidia.com/gpu": "6"}, "has 2 of 8 left, and 3 are needed"),
        ({"pods": "2"}, {}, "pods has 2 of 2 left, and 4 are needed"),
        ({"requests.cpu": "10"}, {}, "requests.cpu has 10 of 10 left, and 13 are needed"),
        ({"cpu": "10"}, {}, "cpu has 10 of 10 left, and 13 are needed"),
        ({"requests.memory": "64Gi"}, {}, "requests.memory has 64Gi of 64Gi left, and 73Gi are needed"),
        ({"limits.memory": "64Gi"}, {}, "limits.memory has 64Gi of 64Gi left, and 73Gi are needed"),
        ({"persistentvolumeclaims": "0"}, {}, "persistentvolumeclaims has 0 of 0 left, and 1 are needed"),
        ({"requests.storage": "100Gi"}, {}, "requests.storage has 100Gi of 100Gi left, and 200Gi are needed"),
    ],
)
def test_a_quota_without_room(hard: Json, used: Json, seen: str, looked: Looker) -> None:
    """Two replicas and a rollout's third, and the pod of `helm test`."""
    report = looked(right() | {(QUOTAS, "calls", "team"): quota(hard, used)}, values())
    assert not_passed(report) == {"namespace.quota": "fail"}, told(report)
    assert seen in finding(report, "namespace.quota").seen


def test_a_quota_with_room(looked: Looker) -> None:
    hard = {"requests.nvidia.com/gpu": "3", "pods": "4", "requests.cpu": "13", "services": "0", "count/deployments.apps": "0"}
    report = looked(right() | {(QUOTAS, "calls", "team"): quota(hard)}, values())
    assert finding(report, "namespace.quota").seen == "team has room"


def test_a_quota_that_counts_our_own_pods(looked: Looker) -> None:
    """An upgrade of two replicas: what they have is not needed again."""
    ours = {"app.kubernetes.io/name": "firstword", "app.kubernetes.io/instance": "firstword", "firstword.io/pool": "default"}
    objects = right() | dict([pod("old-1", "gpu-1", "calls", 1, labels=ours), pod("old-2", "gpu-2", "calls", 1, labels=ours)])
    full = quota({"requests.nvidia.com/gpu": "3"}, {"requests.nvidia.com/gpu": "2"})
    assert finding(looked(objects | {(QUOTAS, "calls", "team"): full}, values()), "namespace.quota").outcome == "pass"


def test_a_quota_of_some_pods_may_not_be_ours(looked: Looker) -> None:
    scoped = quota({"pods": "0"}, scopes=["BestEffort"])
    report = looked(right() | {(QUOTAS, "calls", "team"): scoped}, values())
    assert not_passed(report) == {"namespace.quota": "warn"}, told(report)


def test_a_quota_of_limits_refuses_pods_without(looked: Looker) -> None:
    objects = right() | {(QUOTAS, "calls", "team"): quota({"limits.cpu": "100"})}
    report = looked(objects, values())
    assert not_passed(report) == {"namespace.quota": "fail"}, told(report)
    assert finding(report, "namespace.quota").seen == (
        "team refuses pods without such limits: cpu of pool default, cpu of check and load test"
    )
    objects[(RANGES, "calls", "limits")] = {"spec": {"limits": [{"type": "Container", "default": {"cpu": "8"}}]}}
    assert finding(looked(objects, values()), "namespace.quota").outcome == "pass"


@pytest.mark.parametrize(
    ("limit", "seen"),
    [
        ({"type": "Container", "max": {"cpu": "2"}}, "pool default: cpu 4, and at most 2 is allowed"),
        ({"type": "Pod", "max": {"memory": "16Gi"}}, "pool default: memory 24Gi, and at most 16Gi is allowed"),
        ({"type": "PersistentVolumeClaim", "max": {"storage": "50Gi"}}, "storage 200Gi, and at most 50Gi is allowed"),
    ],
)
def test_a_limit_range(limit: Json, seen: str, looked: Looker) -> None:
    report = looked(right() | {(RANGES, "calls", "limits"): {"spec": {"limits": [limit]}}}, values())
    assert not_passed(report) == {"namespace.limit-range": "fail"}, told(report)
    assert seen in finding(report, "namespace.limit-range").seen


def test_a_limit_range_of_a_small_pool(looked: Looker) -> None:
    limit = {"type": "Container", "max": {"cpu": "2", "memory": "8Gi"}}
    small = pool(resources={"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi"}})
    report = looked(right() | {(RANGES, "calls", "limits"): {"spec": {"limits": [limit]}}}, small)
    assert not_passed(report) == {}, told(report)


def test_pickers_and_load_tests_are_counted(looked: Looker) -> None:
    """Beside three servers: two pickers and a rollout's third, the check, and Locust's master and its two workers."""
    given = values(inferencePool={"enabled": True, "replicas": 2}, loadTest={"enabled": True})
    report = looked(right() | {(QUOTAS, "calls", "team"): quota({"pods": "9"})}, given)
    assert "pods has 9 of 9 left, and 10 are needed" in finding(report, "namespace.quota").seen
    assert (
        finding(looked(right() | {(QUOTAS, "calls", "team"): quota({"pods": "10"})}, given), "namespace.quota").outcome == "pass"
    )


def test_limits_that_a_limit_range_gives(looked: Looker) -> None:
    """They count in a quota, and must not be below the requests."""
    default = {"cpu": "8"}
    ranges: Objects = {(RANGES, "calls", "limits"): {"spec": {"limits": [{"type": "Container", "default": default}]}}}
    report = looked(right() | ranges | {(QUOTAS, "calls", "team"): quota({"limits.cpu": "20"})}, values())
    assert finding(report, "namespace.quota").seen == "team: limits.cpu has 20 of 20 left, and 32 are needed"
    default["cpu"] = "500m"
    found = finding(looked(right() | ranges, values()), "namespace.limit-range")
    assert (found.outcome, found.seen) == ("fail", "pool default: cpu 4, and without a limit of its own it gets 0.5")


def test_a_pool_on_the_nodes_disk_asks_for_it_in_a_quota(looked: Looker) -> None:
    hard = quota({"requests.ephemeral-storage": "500Gi"})
    report = looked(right() | {(QUOTAS, "calls", "team"): hard}, pool(cache={"type": "emptyDir"}))
    assert finding(report, "namespace.quota").seen.endswith("has 500Gi of 500Gi left, and 600Gi are needed")
