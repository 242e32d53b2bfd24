"""Nodes that match each pool, and what is free on them."""

from collections.abc import Iterator
from decimal import Decimal

from service.preflight.checks.definition import cluster_check, pool_check
from service.preflight.cluster.nodes import judge, labels_of, name_of
from service.preflight.cluster.placement import allocatable
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, doubtful, good, number, skipped, some, wrong
from service.preflight.values.demand import gpus_of_pod
from service.preflight.values.pool_values import Pool

_NO_NODE = "no node matches"
_OPERATOR = "Install the NVIDIA GPU operator, or the device plugin alone (https://docs.nvidia.com/datacenter/cloud-native/)."


@cluster_check("cluster.objects", "Nodes and pods are as Kubernetes has them")
def objects(snapshot: Snapshot) -> Iterator[Found]:
    if odd := snapshot.malformed_nodes:
        seen = f"{number(len(odd), 'node')} set aside: {some(odd)}"
        yield doubtful(seen, "kubectl get node NAME -o yaml: who writes its status? The others are judged without it.")
    if odd := snapshot.usage.odd:
        seen = f"{number(len(odd), 'pod')} cannot be read, and what they take is not counted: {some(odd)}"
        yield doubtful(seen, "kubectl -n NAMESPACE get pod NAME -o yaml: compare its resources with Kubernetes's reference.")


@cluster_check("cluster.device-plugin", "The device plugin offers GPUs")
def device_plugin(snapshot: Snapshot) -> Iterator[Found]:
    for resource in sorted({pool.gpu.resource for pool in snapshot.plan.pools if pool.gpu.enabled}):
        offers = {name_of(node): allocatable(node).get(resource, Decimal(0)) for node in snapshot.nodes}
        if total := sum(offers.values()):
            yield good(f"{total} {resource} on {number(sum(1 for each in offers.values() if each), 'node')}")
        else:
            yield _not_offered(snapshot, resource)


def _not_offered(snapshot: Snapshot, resource: str) -> Found:
    broken = [name_of(node) for node in snapshot.nodes if str((node["status"].get("capacity") or {}).get(resource, 0)) != "0"]
    if broken:
        return wrong(f"{resource}: {some(broken)} has some, none of them healthy", "Look at the device plugin's log there.")
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
        return wrong(
            f"{seen}; they offer {some(others)}", f"Set gpu.resource to one of these, or make the plugin offer {resource}."
        )
    return wrong(seen, f"{_OPERATOR} Or set gpu.resource to what yours offers.")


@pool_check("pool.nodes", "Nodes match the pool's labels, affinity and tolerations")
def nodes(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    yield judge(pool, snapshot.node_filters[pool.name])


@pool_check("pool.capacity", "All pods find a place: GPUs, CPU, memory, disk")
def capacity(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if not (nodes := snapshot.usable(pool)):
        yield skipped(_NO_NODE)
        return
    placement = snapshot.placements[pool.name]
    largest = max(allocatable(node).get(pool.gpu.resource, Decimal(0)) for node in nodes)
    if largest < gpus_of_pod(pool):
        yield wrong(
            f"a pod takes {gpus_of_pod(pool)} {pool.gpu.resource}, and the largest node that matches has {largest}",
            f"Set gpu.count to {largest} or less, or choose nodes with more GPUs. `nodes` spreads one replica over several."
            if largest
            else f"Choose nodes that have {pool.gpu.resource}: nodeSelector, gpu.product or gpu.resource.",
        )
    elif placement.placed < placement.wanted:
        disk = "; for the disk, cache.size, or another cache.type" if "ephemeral-storage" in placement.lacking else ""
        yield wrong(
            f"{placement.placed} of {number(placement.wanted, 'pod')} find a place: {placement.lacking}",
            f"Add nodes, free some, or ask for less: replicas, gpu.count, resources.requests{disk}.",
        )
    else:
        yield good(f"{number(placement.wanted, 'pod')}, {_free(snapshot, pool)}")


def _free(snapshot: Snapshot, pool: Pool) -> str:
    if not pool.gpu.enabled:
        return "no GPUs needed"
    nodes = snapshot.usable(pool)
    there = sum(allocatable(node).get(pool.gpu.resource, Decimal(0)) for node in nodes)
    free = sum(snapshot.free[name_of(node)].get(pool.gpu.resource, Decimal(0)) for node in nodes)
    return f"{free} of {there} {pool.gpu.resource} free before them"


@pool_check("pool.spare", "A rollout's spare pod finds a place")
def spare(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if not pool.rollout.spare_gpus or _does_not_fit(snapshot, pool):
        return
    placement = snapshot.placements[pool.name]
    if placement.spare_placed == pool.nodes:
        yield good(f"{number(pool.nodes, 'pod')} more for a rollout")
        return
    yield wrong(
        f"rollout.spareGpus is true, and a new pod finds no place beside the old ones: {placement.lacking}",
        "Add a node, or set rollout.spareGpus to false: then an old pod ends first, and fewer serve for that long.",
    )


@pool_check("pool.most", "All pods that the autoscaler may add find a place")
def most(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    placement = snapshot.placements[pool.name]
    if not placement.more_wanted or _does_not_fit(snapshot, pool):
        return
    if placement.more_placed == placement.more_wanted:
        yield good(f"{number(pool.autoscaling.max_replicas, 'replica')} at most")
        return
    now = (placement.wanted + placement.more_placed) // pool.nodes
    yield doubtful(
        f"autoscaling.maxReplicas is {pool.autoscaling.max_replicas}, and now {now} find a place",
        f"Make sure that nodes are added on demand, or set autoscaling.maxReplicas to {now}.",
    )


def _does_not_fit(snapshot: Snapshot, pool: Pool) -> bool:
    """Told already."""
    return snapshot.placements[pool.name].placed < snapshot.placements[pool.name].wanted


@pool_check("pool.shared-gpu", "GPUs are not shared with others")
def shared_gpu(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    shared = [
        name_of(node) for node in snapshot.usable(pool) if labels_of(node).get("nvidia.com/gpu.replicas", "1") not in ("0", "1")
    ]
    if pool.gpu.enabled and shared:
        yield doubtful(
            f"time-slicing is on: {some(shared)}",
            "Whoever shares the GPU takes its memory and delays first words: choose other nodes, or MIG.",
        )
