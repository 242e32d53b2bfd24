"""Nodes that match each pool, and the free resources on them."""

from collections.abc import Iterator
from decimal import Decimal

from service.preflight.checks.definition import cluster_check, pool_check
from service.preflight.cluster.nodes import check_nodes, labels_of, name_of
from service.preflight.cluster.placement import allocatable
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, number, passed, skipped, some, warned
from service.preflight.values.demand import gpus_of_pod
from service.preflight.values.pool_values import Pool

_NO_NODE = "no node matches the pool"
_OPERATOR = "Install the NVIDIA GPU operator, or the device plugin alone (https://docs.nvidia.com/datacenter/cloud-native/)."


@cluster_check("cluster.objects", "Nodes and pods are well-formed")
def objects(snapshot: Snapshot) -> Iterator[Found]:
    if nodes := snapshot.malformed_nodes:
        seen = f"preflight ignores {number(len(nodes), 'malformed node')}: {some(nodes)}"
        yield warned(seen, "Look at the node with kubectl get node NAME -o yaml, and find the component that writes its status.")
    if pods := snapshot.usage.malformed:
        seen = f"preflight does not count the resources of {number(len(pods), 'malformed pod')}: {some(pods)}"
        fix = "Compare the pod's resources with the Kubernetes reference: kubectl -n NAMESPACE get pod NAME -o yaml."
        yield warned(seen, fix)


@cluster_check("cluster.device-plugin", "The device plugin offers GPUs")
def device_plugin(snapshot: Snapshot) -> Iterator[Found]:
    for resource in sorted({pool.gpu.resource for pool in snapshot.plan.pools if pool.gpu.enabled}):
        offers = {name_of(node): allocatable(node).get(resource, Decimal(0)) for node in snapshot.nodes}
        if total := sum(offers.values()):
            yield passed(f"{total} {resource} on {number(sum(1 for each in offers.values() if each), 'node')}")
        else:
            yield _not_offered(snapshot, resource)


def _not_offered(snapshot: Snapshot, resource: str) -> Found:
    broken = [name_of(node) for node in snapshot.nodes if str((node["status"].get("capacity") or {}).get(resource, 0)) != "0"]
    if broken:
        seen = f"{some(broken)} has {resource}, but no healthy one"
        return failed(seen, "Look at the device plugin's log on that node.")
    seen = f"no node offers {resource}"
    others = sorted(
        {
            name
            for node in snapshot.nodes
            for name in allocatable(node)
            if name.startswith(resource.split("/", maxsplit=1)[0] + "/")
        }
    )
    if others:
        return failed(
            f"{seen}; the nodes offer {some(others)}",
            f"Set gpu.resource to one of these, or configure the device plugin to offer {resource}.",
        )
    return failed(seen, f"{_OPERATOR} Or set gpu.resource to the resource that your device plugin offers.")


@pool_check("pool.nodes", "Nodes match the pool's labels, affinity and tolerations")
def nodes(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    yield check_nodes(pool, snapshot.node_filters[pool.name])


@pool_check("pool.capacity", "All pods fit: GPUs, CPU, memory, disk")
def capacity(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if not (nodes := snapshot.usable(pool)):
        yield skipped(_NO_NODE)
        return
    placement = snapshot.placements[pool.name]
    largest = max(allocatable(node).get(pool.gpu.resource, Decimal(0)) for node in nodes)
    if largest < gpus_of_pod(pool):
        yield failed(
            f"a pod needs {gpus_of_pod(pool)} {pool.gpu.resource}, and the largest matching node has {largest}",
            f"Set gpu.count to {largest} or less, or select nodes with more GPUs. Or raise `nodes` to split a replica."
            if largest
            else f"Select nodes that have {pool.gpu.resource}, with nodeSelector or gpu.product. Or change gpu.resource.",
        )
    elif placement.placed < placement.wanted:
        disk = " For disk, lower cache.size or change cache.type." if "ephemeral-storage" in placement.lacking else ""
        yield failed(
            f"{placement.placed} of {number(placement.wanted, 'pod')} fit: {placement.lacking}",
            f"Add nodes, free resources on them, or lower replicas, gpu.count or resources.requests.{disk}",
        )
    else:
        yield passed(f"{number(placement.wanted, 'pod')} fit; {_free(snapshot, pool)}")


def _free(snapshot: Snapshot, pool: Pool) -> str:
    if not pool.gpu.enabled:
        return "the pool needs no GPUs"
    nodes = snapshot.usable(pool)
    total = sum(allocatable(node).get(pool.gpu.resource, Decimal(0)) for node in nodes)
    free = sum(snapshot.free[name_of(node)].get(pool.gpu.resource, Decimal(0)) for node in nodes)
    return f"{free} of {total} {pool.gpu.resource} are free without them"


@pool_check("pool.spare", "The rollout's spare pod fits")
def spare(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if not pool.rollout.spare_gpus or _does_not_fit(snapshot, pool):
        return
    placement = snapshot.placements[pool.name]
    if placement.spare_placed == pool.nodes:
        yield passed(f"{number(pool.nodes, 'more pod')} for a rollout")
        return
    yield failed(
        f"rollout.spareGpus is true, and a new pod does not fit beside the old ones: {placement.lacking}",
        "Add a node, or set rollout.spareGpus to false. Then an old pod ends first, and fewer pods serve meanwhile.",
    )


@pool_check("pool.most", "All pods that the autoscaler may add fit")
def most(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    placement = snapshot.placements[pool.name]
    if not placement.more_wanted or _does_not_fit(snapshot, pool):
        return
    if placement.more_placed == placement.more_wanted:
        yield passed(f"{number(pool.autoscaling.max_replicas, 'replica')} at most")
        return
    now = (placement.wanted + placement.more_placed) // pool.nodes
    yield warned(
        f"autoscaling.maxReplicas is {pool.autoscaling.max_replicas}, and {number(now, 'replica')} fit now",
        f"Check that nodes are added on demand, or set autoscaling.maxReplicas to {now}.",
    )


def _does_not_fit(snapshot: Snapshot, pool: Pool) -> bool:
    """Check whether the pool's pods do not fit. `pool.capacity` reports that."""
    return snapshot.placements[pool.name].placed < snapshot.placements[pool.name].wanted


@pool_check("pool.shared-gpu", "GPUs are not shared with other workloads")
def shared_gpu(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    shared = [
        name_of(node) for node in snapshot.usable(pool) if labels_of(node).get("nvidia.com/gpu.replicas", "1") not in ("0", "1")
    ]
    if pool.gpu.enabled and shared:
        yield warned(
            f"GPU time-slicing is on for {some(shared)}",
            "Select other nodes, or use MIG. Another workload on the GPU takes memory and raises TTFT.",
        )
