"""Malformed nodes and pods, and the disks of well-formed nodes."""

import re
from collections.abc import Callable

import pytest

from tests.preflight.checks.test_nodes import GPU_NODES, amounts, each_gpu_node
from tests.preflight.looking import Looker, finding, findings_text, not_passed
from tests.preflight.right_cluster import Json, pod, pool, right, values

MALFORMED_NODES: dict[str, tuple[Callable[[Json], object], str]] = {
    "no status": (lambda one: one.pop("status"), "gpu-1 (status "),
    "no spec": (lambda one: one.pop("spec"), "gpu-1 (spec "),
    "a status that is none": (lambda one: one.update(status=None), "gpu-1 (status "),
    "a taint without a key": (lambda one: one["spec"]["taints"].append({"effect": "NoSchedule"}), "gpu-1 (spec.taints.1.key"),
    "GPUs that are no number": (amounts(**{"nvidia.com/gpu": "0x10"}), "gpu-1 (its allocatable nvidia.com/gpu "),
    "no memory": (amounts(memory=None), "gpu-1 (its allocatable memory "),
}


@pytest.mark.parametrize("name", MALFORMED_NODES)
def test_an_odd_node_is_set_aside(name: str, looked: Looker) -> None:
    change, seen = MALFORMED_NODES[name]
    objects = right()
    change(objects[GPU_NODES[0]])
    report = looked(objects, values())
    assert not_passed(report) == {"cluster.objects": "warn"}, findings_text(report)
    found = finding(report, "cluster.objects").seen
    assert "1 malformed node:" in found and seen in found
    assert re.search("^of 2 nodes, 1 .*: gpu-2$", finding(report, "pool.nodes").seen)


@pytest.mark.parametrize("disk", [None, "", "0x10"])
def test_what_nobody_asks_for_may_be_odd(disk: object, looked: Looker) -> None:
    objects = each_gpu_node(amounts(**{"ephemeral-storage": disk}))
    assert not_passed(looked(objects, values())) == {}
    report = looked(objects, pool(cache={"type": "emptyDir"}))
    assert "2 malformed nodes: gpu-1 (its allocatable ephemeral-storage" in finding(report, "cluster.objects").seen
    assert finding(report, "pool.nodes").outcome == "fail"


def test_an_odd_pod_is_not_counted(looked: Looker) -> None:
    key, malformed = pod("malformed", "gpu-1", gpus=1)
    malformed["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "many"
    report = looked(right() | {key: malformed}, values())
    assert not_passed(report) == {"cluster.objects": "warn"}, findings_text(report)
    assert finding(report, "cluster.objects").seen.endswith("1 malformed pod: others/malformed")


def test_a_cache_on_a_node_takes_its_disk(looked: Looker) -> None:
    """The chart requests it."""
    given = pool(cache={"type": "emptyDir", "size": "500Gi"}, rollout={"spareGpus": False})
    objects = {key: each for key, each in right().items() if key[2] != "gpu-2"}
    found = finding(looked(objects, given), "pool.capacity")
    assert re.search(r"^1 of 2 pods .* 500Gi ephemeral-storage\b.*\b400Gi\b", found.seen)
    assert "cache.size" in (found.fix or "") and "cache.type" in (found.fix or "")
    given_requests = {"requests": {"cpu": "4", "memory": "24Gi", "ephemeral-storage": "100Gi"}}
    assert (
        finding(looked(objects, {**given, **pool(**given["poolDefaults"], resources=given_requests)}), "pool.capacity").outcome
        == "pass"
    )
