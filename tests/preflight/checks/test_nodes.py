"""Nodes and GPUs with each kind of problem."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.preflight.looking import Looker, finding, findings_text, not_passed
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
        "NVIDIA-H100-80GB-HBM3 (2 nodes)",
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
        right() | dict([node("other", 8, disk="hdd", team="voice")]),
        pool(nodeSelector={"disk": "nvme", "team": "voice"}),
        "disk=nvme, team=voice",
        "labels",
    ),
    "affinity": (
        right(),
        pool(affinity=required({"key": "zone", "operator": "In", "values": ["a"]})),
        "affinity.nodeAffinity: gpu-1, gpu-2",
        "affinity.nodeAffinity",
    ),
    "taint": (
        each_gpu_node(lambda one: taint(one, key="team", value="search")),
        values(),
        "team=search:NoSchedule on 2 nodes",
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
        "gpu-1 (cordoned), gpu-2 (cordoned)",
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
        "kubectl describe node",
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
    # Checks that need a node are skipped and do not fail.
    assert not_passed(report) == {"pool.nodes": "fail", "pool.capacity": "skipped", "pool.gpu-memory": "skipped"}, findings_text(
        report
    )


def test_a_cluster_without_nodes(looked: Looker) -> None:
    objects = {key: document for key, document in right().items() if key[0] != NODES}
    assert finding(looked(objects, values()), "pool.nodes").outcome == "fail"


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
    assert finding(looked(right(), pool(affinity=either)), "pool.nodes").seen.endswith("affinity: gpu-2")
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
    assert not_passed(report) == {"cluster.device-plugin": "fail", "pool.capacity": "fail"}, findings_text(report)
    found = finding(report, "cluster.device-plugin")
    assert "nvidia.com/gpu" in found.seen
    assert "NVIDIA GPU operator" in (found.fix or "")


def test_a_device_plugin_that_offers_something_else(looked: Looker) -> None:
    found = finding(looked(right(), pool(gpu={"resource": "nvidia.com/mig-3g.40gb"})), "cluster.device-plugin")
    assert "nvidia.com/mig-3g.40gb" in found.seen and found.seen.endswith("nvidia.com/gpu")
    assert "gpu.resource" in (found.fix or "")


def test_gpus_that_are_not_healthy(looked: Looker) -> None:
    objects = each_gpu_node(lambda one: one["status"]["allocatable"].update({"nvidia.com/gpu": "0"}))
    found = finding(looked(objects, values()), "cluster.device-plugin")
    assert "gpu-1, gpu-2" in found.seen and "healthy" in found.seen


def test_a_pod_larger_than_any_node(looked: Looker) -> None:
    found = finding(looked(right(), pool(gpu={"count": 16})), "pool.capacity")
    assert "16 nvidia.com/gpu" in found.seen and found.seen.endswith(" 8")
    assert "gpu.count to 8" in (found.fix or "")


def test_gpus_that_others_have(looked: Looker) -> None:
    objects = right() | dict([pod("batch", "gpu-2", gpus=5)])
    report = looked(objects, pool(gpu={"count": 4}, replicas=3))
    found = finding(report, "pool.capacity")
    assert found.outcome == "fail"
    assert re.search(r"^1 of 3 pods .* 4 nvidia\.com/gpu\b.*\b3\b", found.seen)


def test_what_is_over_or_starting_counts_as_kubernetes_counts(looked: Looker) -> None:
    key, batch = pod("batch", "gpu-2", gpus=8)
    objects = right() | {key: batch}
    eight = pool(gpu={"count": 8}, replicas=1, rollout={"spareGpus": False})
    assert finding(looked(objects, eight), "pool.capacity").outcome == "fail"
    batch["status"]["phase"] = "Succeeded"
    assert finding(looked(objects, eight), "pool.capacity").outcome == "pass"
    # An init container's request counts for the whole life of the pod.
    batch["status"]["phase"] = "Running"
    batch["spec"]["containers"][0]["resources"] = {}
    batch["spec"]["initContainers"] = [{"name": "first", "resources": {"requests": {"nvidia.com/gpu": "1"}}}]
    assert finding(looked(objects, eight), "pool.capacity").outcome == "fail"


@pytest.mark.parametrize("what", ["cpu", "memory"])
def test_gpus_are_free_and_something_else_is_not(what: str, looked: Looker) -> None:
    objects = each_gpu_node(amounts(**{what: "3"}))
    found = finding(looked(objects, values()), "pool.capacity")
    assert found.outcome == "fail"
    assert f" {what}," in found.seen


def test_no_node_has_all_of_it_at_once(looked: Looker) -> None:
    objects = right()
    objects[GPU_NODES[0]]["status"]["allocatable"]["cpu"] = "1"
    objects[GPU_NODES[1]]["status"]["allocatable"]["memory"] = "1Gi"
    assert "no single node" in finding(looked(objects, values()), "pool.capacity").seen


def test_pools_share_the_nodes(looked: Looker) -> None:
    """Each pool would fit alone. The pool with the fewest usable nodes is placed first."""
    given = pool(rollout={"spareGpus": False}, replicas=1, gpu={"count": 8})
    given["gateway"] = {"enabled": False}
    given["pools"] = [{"name": "free"}, {"name": "bound", "nodeSelector": {"kubernetes.io/hostname": "gpu-2"}}]
    report = looked(right(), given)
    by_pool = {each.pool: each.outcome for each in report.findings if each.check == "pool.capacity"}
    assert by_pool == {"free": "fail", "bound": "pass"}  # Another pod has GPUs of gpu-1.


def test_a_rollout_that_would_wait_for_ever(looked: Looker) -> None:
    objects = right() | dict([pod("batch", "gpu-2", gpus=8)])
    report = looked(objects, pool(gpu={"count": 3}))
    assert not_passed(report) == {"pool.spare": "fail"}, findings_text(report)
    assert "rollout.spareGpus to false" in (finding(report, "pool.spare").fix or "")


def test_an_autoscaler_that_would_find_no_place(looked: Looker) -> None:
    given = pool(autoscaling={"enabled": True, "maxReplicas": 20, "turnsPerSecond": 5.0, "minReplicas": 2})
    given["prometheus"] = {"url": "http://prometheus-operated.monitoring.svc:9090"}
    report = looked(right(), given)
    assert not_passed(report) == {"pool.most": "warn"}, findings_text(report)
    assert re.search(r"autoscaling\.maxReplicas is 20\b.*\b14\b", finding(report, "pool.most").seen)


def test_replicas_of_several_nodes(looked: Looker) -> None:
    wide = pool(nodes=2, gpu={"count": 8}, replicas=1, rollout={"spareGpus": False})
    found = finding(looked(right(), wide), "pool.capacity")
    assert found.seen.startswith("1 of 2 pods")
    idle = {key: document for key, document in right().items() if key[2] != "training"}
    assert re.search(r"^2 pods\b.*16 of 16 nvidia\.com/gpu", finding(looked(idle, wide), "pool.capacity").seen)


def test_gpus_that_are_shared(looked: Looker) -> None:
    objects = each_gpu_node(lambda one: label(one, **{"nvidia.com/gpu.replicas": "4"}))
    report = looked(objects, values())
    assert not_passed(report) == {"pool.shared-gpu": "warn"}, findings_text(report)
