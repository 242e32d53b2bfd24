"""What the values say of a pool, against the names that there are."""

import math
from collections.abc import Iterator

from service.preflight.checks.definition import pool_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, doubtful, good, wrong
from service.preflight.values.demand import downloads, least_replicas
from service.preflight.values.pool_values import Pool


@pool_check("pool.hostname", "The pool has a host name of its own")
def hostname(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    gateway, ingress = snapshot.values.gateway.enabled, snapshot.values.ingress.enabled
    taken = [split.hostname for split in snapshot.values.gateway.splits] if gateway else []
    taken += [each.hostname for each in snapshot.plan.pools if each is not pool]
    if not gateway and not ingress and (not pool.hostname or pool.hostname not in taken):
        return
    if not pool.hostname:
        seen = f"{'gateway' if gateway else 'ingress'}.enabled needs a host name for each pool, and hostname is empty"
        yield wrong(seen, "Set hostname to what the platform's agents shall call, e.g. voice.example.com.")
    elif pool.hostname in taken:
        yield wrong(
            f"{pool.hostname} is another's, too", "Give each pool and split its own: `model` never chooses between pools."
        )
    else:
        yield good(pool.hostname)


@pool_check("pool.runtime-class", "The runtime class is there")
def runtime_class(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    fix = "Set runtimeClassName to one that there is, or to nothing. The NVIDIA GPU operator makes `nvidia`."
    yield from _named(snapshot, "RuntimeClass", pool.runtime_class_name, "/apis/node.k8s.io/v1/runtimeclasses", fix)


@pool_check("pool.priority-class", "The priority class is there")
def priority_class(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    fix = "Set priorityClassName to one that there is, or to nothing, or create it: no pod is made before."
    yield from _named(snapshot, "PriorityClass", pool.priority_class_name, "/apis/scheduling.k8s.io/v1/priorityclasses", fix)


def _named(snapshot: Snapshot, kind: str, name: str, path: str, fix: str) -> Iterator[Found]:
    if not name:
        return
    if snapshot.cluster.get(f"{path}/{name}") is None:
        yield wrong(f"there is no {kind} {name}", fix)
    else:
        yield good(name)


@pool_check("pool.rollout", "A rollout leaves somebody to answer")
def rollout(_: Snapshot, pool: Pool) -> Iterator[Found]:
    if pool.rollout.spare_gpus or least_replicas(pool) > 1:
        yield good("a new pod starts before an old one ends" if pool.rollout.spare_gpus else "one replica at a time is replaced")
        return
    lifecycle = pool.lifecycle
    # As the NOTES count it: an old pod ends, then a new one loads.
    seconds = lifecycle.lameduck_seconds + lifecycle.drain_seconds + lifecycle.stop_seconds + 5 + lifecycle.startup_seconds
    seconds += lifecycle.download_seconds if downloads(pool) else 0
    yield doubtful(
        f"one replica, and no spare: each rollout is an outage of up to about {math.ceil(seconds / 60)} min",
        "Set rollout.spareGpus to true if GPUs are free for a second pod meanwhile, or replicas to 2.",
    )
