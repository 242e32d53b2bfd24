"""Nodes and pods that are not as Kubernetes has them, and the disks of those that are."""

from collections.abc import Callable

import pytest

from tests.preflight.checks.test_nodes import GPU_NODES, amounts, each_gpu_node
from tests.preflight.looking import Looker, finding, not_passed, told
from tests.preflight.right_cluster import Json, pod, pool, right, values

ODD_NODES: dict[str, tuple[Callable[[Json], object], str]] = {
    "no status": (lambda one: one.pop("status"), "gpu-1 (status is missing or odd)"),
    "no spec": (lambda one: one.pop("spec"), "gpu-1 (spec is missing or odd)"),
    "a status that is none": (lambda one: one.update(status=None), "gpu-1 (status is missing or odd)"),
    "a taint without a key": (lambda one: one["spec"]["taints"].append({"effect": "NoSchedule"}), "gpu-1 (spec.taints.1.key"),
    "GPUs that are no number": (amounts(**{"nvidia.com/gpu": "0x10"}), "gpu-1 (its allocatable nvidia.com/gpu is no quantity)"),
    "no memory": (amounts(memory=None), "gpu-1 (its allocatable memory is no quantity)"),
}


@pytest.mark.parametrize("name", ODD_NODES)
def test_an_odd_node_is_set_aside(name: str, looked: Looker) -> None:
    change, seen = ODD_NODES[name]
    objects = right()
    change(objects[GPU_NODES[0]])
    report = looked(objects, values())
    assert not_passed(report) == {"cluster.objects": "warn"}, told(report)
    assert f"1 node set aside: {seen}" in finding(report, "cluster.objects").seen
    assert finding(report, "pool.nodes").seen == "of 2 nodes, 1 have the labels: gpu-2"


@pytest.mark.parametrize("disk", [None, "", "0x10"])
def test_what_nobody_asks_for_may_be_odd(disk: object, looked: Looker) -> None:
    odd = each_gpu_node(amounts(**{"ephemeral-storage": disk}))
    assert not_passed(looked(odd, values())) == {}
    report = looked(odd, pool(cache={"type": "emptyDir"}))
    assert "2 nodes set aside: gpu-1 (its allocatable ephemeral-storage" in finding(report, "cluster.objects").seen
    assert finding(report, "pool.nodes").outcome == "fail"


def test_an_odd_pod_is_not_counted(looked: Looker) -> None:
    key, odd = pod("odd", "gpu-1", gpus=1)
    odd["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "many"
    report = looked(right() | {key: odd}, values())
    assert not_passed(report) == {"cluster.objects": "warn"}, told(report)
    assert finding(report, "cluster.objects").seen.endswith("what they take is not counted: others/odd")


def test_a_cache_on_a_node_takes_its_disk(looked: Looker) -> None:
    """As the chart asks for it."""
    given = pool(cache={"type": "emptyDir", "size": "500Gi"}, rollout={"spareGpus": False})
    objects = {key: each for key, each in right().items() if key[2] != "gpu-2"}
    found = finding(looked(objects, given), "pool.capacity")
    assert found.seen == (
        "1 of 2 pods find a place: a pod takes 500Gi ephemeral-storage, and the most that is free on one node is 400Gi"
    )
    assert "cache.size, or another cache.type" in (found.fix or "")
    said = {"requests": {"cpu": "4", "memory": "24Gi", "ephemeral-storage": "100Gi"}}
    assert finding(looked(objects, {**given, **pool(**given["poolDefaults"], resources=said)}), "pool.capacity").outcome == "pass"
