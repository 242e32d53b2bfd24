"""Nodes, GPUs and places on them, wrong in each way."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.preflight.looking import Looker, finding, not_passed, told
from tests.preflight.right_cluster import NODES, Json, Objects, node, pod, pool, right, values

GPU_NODES = (NODES, None, "gpu-1"), (NODES, None, "gpu-2")


def each_gpu_node(change: Callable[[Json], object]) -> Objects:
    objects = right()
    for key in GPU_NODES:
        change(objects[key])
    return objects


def required(*expressions: Json) -> Json:
    terms = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def taint(document: Json, **more: str) -> None:
    document["spec"]["taints"].append({"effect": "NoSchedule", **more})


def label(document: Json, **labels: str) -> None:
    document["metadata"]["labels"] |= labels


WRONG: dict[str, tuple[Objects, Json, str, str]] = {
    "another GPU": (
        right(),
        pool(gpu={"product": "NVIDIA-L4"}),
        "no node has the label nvidia.com/gpu.product=NVIDIA-L4",
        "Set gpu.product to what nodes have: NVIDIA-H100-80GB-HBM3 (2 nodes)",
    ),
    "no GPU labels": (
        each_gpu_node(lambda one: one["metadata"]["labels"].pop("nvidia.com/gpu.product")),
        values(),
        "no node has the label nvidia.com/gpu.product",
        "Install GPU feature discovery",
    ),
    "no such label": (
        right(),
        pool(nodeSelector={"team": "voice"}),
        "no node has the label team",
        "kubectl label node NAME team=voice",
    ),
    "labels on different nodes": (
        right() | dict([node("odd", 8, disk="hdd", team="voice")]),
        pool(nodeSelector={"disk": "nvme", "team": "voice"}),
        "each label is on some node, but none has all of",
        "label a node with all",
    ),
    "affinity": (
        right(),
        pool(affinity=required({"key": "zone", "operator": "In", "values": ["a"]})),
        "2 nodes with the labels, none of which suits affinity.nodeAffinity: gpu-1, gpu-2",
        "Change its required terms",
    ),
    "taint": (
        each_gpu_node(lambda one: taint(one, key="team", value="search")),
        values(),
        "2 nodes with the labels, all with taints that the pool does not tolerate: team=search:NoSchedule on 2 nodes",
        'Add to tolerations: {key: team, operator: Equal, value: "search", effect: NoSchedule}',
    ),
    "the GPU taint itself": (
        right(),
        pool(tolerations=[]),
        "nvidia.com/gpu=present:NoSchedule on 2 nodes",
        "Add to tolerations: {key: nvidia.com/gpu, operator: Equal",
    ),
    "cordoned": (
        each_gpu_node(lambda one: one["spec"].update(unschedulable=True)),
        values(),
        "no node that matches can take pods: gpu-1 (cordoned), gpu-2 (cordoned)",
        "kubectl uncordon",
    ),
    "not ready": (
        each_gpu_node(lambda one: one["status"].update(conditions=[{"type": "Ready", "status": "Unknown"}])),
        values(),
        "gpu-1 (not ready)",
        "kubectl describe node",
    ),
    "disk pressure": (
        each_gpu_node(lambda one: taint(one, key="node.kubernetes.io/disk-pressure")),
        values(),
        "gpu-1 (disk-pressure)",
        "find out why it is not ready",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_no_node_matches(name: str, looked: Looker) -> None:
    objects, given, seen, fix = WRONG[name]
    report = looked(objects, given)
    found = finding(report, "pool.nodes")
    assert found.outcome == "fail"
    assert seen in found.seen
    assert fix in (found.fix or "")
    # What cannot be known without nodes is no fault of its own.
    assert not_passed(report) == {"pool.nodes": "fail", "pool.capacity": "skipped", "pool.gpu-memory": "skipped"}, told(report)


def test_a_cluster_without_nodes(looked: Looker) -> None:
    objects = {key: document for key, document in right().items() if key[0] != NODES}
    assert finding(looked(objects, values()), "pool.nodes").seen == "the cluster has no nodes"


@pytest.mark.parametrize(
    ("expression", "outcome"),
    [
        ({"key": "disk", "operator": "In", "values": ["nvme", "ssd"]}, "pass"),
        ({"key": "disk", "operator": "NotIn", "values": ["hdd"]}, "pass"),
        ({"key": "disk", "operator": "NotIn", "values": ["nvme"]}, "fail"),
        ({"key": "disk", "operator": "Exists"}, "pass"),
        ({"key": "spot", "operator": "Exists"}, "fail"),
        ({"key": "spot", "operator": "DoesNotExist"}, "pass"),
        ({"key": "disk", "operator": "DoesNotExist"}, "fail"),
        ({"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["80000"]}, "pass"),
        ({"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": ["81559"]}, "fail"),
        ({"key": "nvidia.com/gpu.memory", "operator": "Lt", "values": ["80000"]}, "fail"),
        ({"key": "disk", "operator": "Lt", "values": ["1"]}, "fail"),
    ],
)
def test_affinity_by_each_operator(expression: Json, outcome: str, looked: Looker) -> None:
    assert finding(looked(right(), pool(affinity=required(expression))), "pool.nodes").outcome == outcome


def test_one_of_several_terms_is_enough_and_an_empty_one_is_none(looked: Looker) -> None:
    either = required({"key": "spot", "operator": "Exists"})
    terms = either["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    terms.append({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-2"]}]})
    assert finding(looked(right(), pool(affinity=either)), "pool.nodes").seen.endswith("1 suit the affinity: gpu-2")
    terms[:] = [{}]
    assert finding(looked(right(), pool(affinity=either)), "pool.nodes").outcome == "fail"


@pytest.mark.parametrize(
    ("toleration", "outcome"),
    [
        ({"operator": "Exists"}, "pass"),
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, "pass"),
        ({"key": "nvidia.com/gpu", "value": "present"}, "pass"),
        ({"key": "nvidia.com/gpu", "value": "absent"}, "fail"),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, "fail"),
        ({"key": "nvidia.com/mig", "operator": "Exists"}, "fail"),
    ],
)
def test_tolerations(toleration: Json, outcome: str, looked: Looker) -> None:
    assert finding(looked(right(), pool(tolerations=[toleration])), "pool.nodes").outcome == outcome


def amounts(**of: Any) -> Callable[[Json], object]:
    return lambda one: [one["status"][kind].update(of) for kind in ("allocatable", "capacity")]


def test_no_device_plugin(looked: Looker) -> None:
    objects = each_gpu_node(lambda one: [one["status"][kind].pop("nvidia.com/gpu") for kind in ("allocatable", "capacity")])
    report = looked(objects, values())
    assert not_passed(report) == {"cluster.device-plugin": "fail", "pool.capacity": "fail"}, told(report)
    found = finding(report, "cluster.device-plugin")
    assert found.seen == "no node offers nvidia.com/gpu"
    assert "Install the NVIDIA GPU operator" in (found.fix or "")


def test_a_device_plugin_that_offers_something_else(looked: Looker) -> None:
    found = finding(looked(right(), pool(gpu={"resource": "nvidia.com/mig-3g.40gb"})), "cluster.device-plugin")
    assert found.seen == "no node offers nvidia.com/mig-3g.40gb; they offer nvidia.com/gpu"
    assert "Set gpu.resource to one of these" in (found.fix or "")


def test_gpus_that_are_not_healthy(looked: Looker) -> None:
    objects = each_gpu_node(lambda one: one["status"]["allocatable"].update({"nvidia.com/gpu": "0"}))
    assert "gpu-1, gpu-2 has some, none of them healthy" in finding(looked(objects, values()), "cluster.device-plugin").seen


def test_a_pod_larger_than_any_node(looked: Looker) -> None:
    found = finding(looked(right(), pool(gpu={"count": 16})), "pool.capacity")
    assert found.seen == "a pod takes 16 nvidia.com/gpu, and the largest node that matches has 8"
    assert "Set gpu.count to 8 or less" in (found.fix or "")


def test_gpus_that_others_have(looked: Looker) -> None:
    objects = right() | dict([pod("batch", "gpu-2", gpus=5)])
    report = looked(objects, pool(gpu={"count": 4}, replicas=3))
    found = finding(report, "pool.capacity")
    assert found.outcome == "fail"
    assert found.seen == ("1 of 3 pods find a place: a pod takes 4 nvidia.com/gpu, and the most that is free on one node is 3")


def test_what_is_over_or_starting_counts_as_kubernetes_counts(looked: Looker) -> None:
    key, batch = pod("batch", "gpu-2", gpus=8)
    objects = right() | {key: batch}
    eight = pool(gpu={"count": 8}, replicas=1, rollout={"spareGpus": False})
    assert finding(looked(objects, eight), "pool.capacity").outcome == "fail"
    batch["status"]["phase"] = "Succeeded"
    assert finding(looked(objects, eight), "pool.capacity").outcome == "pass"
    # An init container's GPUs are the pod's as long as it lives; a sidecar's are added.
    batch["status"]["phase"] = "Running"
    batch["spec"]["containers"][0]["resources"] = {}
    batch["spec"]["initContainers"] = [{"name": "first", "resources": {"requests": {"nvidia.com/gpu": "1"}}}]
    assert finding(looked(objects, eight), "pool.capacity").outcome == "fail"


@pytest.mark.parametrize("what", ["cpu", "memory"])
def test_gpus_are_free_and_something_else_is_not(what: str, looked: Looker) -> None:
    objects = each_gpu_node(amounts(**{what: "3"}))
    found = finding(looked(objects, values()), "pool.capacity")
    assert found.outcome == "fail"
    assert f"{what}, and the most that is free on one node is" in found.seen


def test_no_node_has_all_of_it_at_once(looked: Looker) -> None:
    objects = right()
    objects[GPU_NODES[0]]["status"]["allocatable"]["cpu"] = "1"
    objects[GPU_NODES[1]]["status"]["allocatable"]["memory"] = "1Gi"
    assert "no node has all that a pod takes free at once" in finding(looked(objects, values()), "pool.capacity").seen


def test_pools_share_the_nodes(looked: Looker) -> None:
    """Each alone would fit; the one with the least choice is served first."""
    given = pool(rollout={"spareGpus": False}, replicas=1, gpu={"count": 8})
    given["gateway"] = {"enabled": False}
    given["pools"] = [{"name": "free"}, {"name": "bound", "nodeSelector": {"kubernetes.io/hostname": "gpu-2"}}]
    report = looked(right(), given)
    by_pool = {each.pool: each.outcome for each in report.findings if each.check == "pool.capacity"}
    assert by_pool == {"free": "fail", "bound": "pass"}  # On gpu-1 somebody trains.


def test_a_rollout_that_would_wait_for_ever(looked: Looker) -> None:
    objects = right() | dict([pod("batch", "gpu-2", gpus=8)])
    report = looked(objects, pool(gpu={"count": 3}))
    assert not_passed(report) == {"pool.spare": "fail"}, told(report)
    assert "set rollout.spareGpus to false" in (finding(report, "pool.spare").fix or "")


def test_an_autoscaler_that_would_find_no_place(looked: Looker) -> None:
    given = pool(autoscaling={"enabled": True, "maxReplicas": 20, "turnsPerSecond": 5.0, "minReplicas": 2})
    given["prometheus"] = {"url": "http://prometheus-operated.monitoring.svc:9090"}
    report = looked(right(), given)
    assert not_passed(report) == {"pool.most": "warn"}, told(report)
    assert finding(report, "pool.most").seen == "autoscaling.maxReplicas is 20, and now 14 find a place"


def test_replicas_of_several_nodes(looked: Looker) -> None:
    wide = pool(nodes=2, gpu={"count": 8}, replicas=1, rollout={"spareGpus": False})
    found = finding(looked(right(), wide), "pool.capacity")
    assert found.seen.startswith("1 of 2 pods find a place")
    idle = {key: document for key, document in right().items() if key[2] != "training"}
    assert finding(looked(idle, wide), "pool.capacity").seen == "2 pods, 16 of 16 nvidia.com/gpu free before them"


def test_gpus_that_are_shared(looked: Looker) -> None:
    objects = each_gpu_node(lambda one: label(one, **{"nvidia.com/gpu.replicas": "4"}))
    report = looked(objects, values())
    assert not_passed(report) == {"pool.shared-gpu": "warn"}, told(report)
