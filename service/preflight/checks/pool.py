"""Names that a pool's values refer to, its hostname, and its rollout."""

import math
from collections.abc import Iterator

from service.preflight.checks.definition import pool_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, passed, warned
from service.preflight.values.demand import downloads, least_replicas
from service.preflight.values.pool_values import Pool


@pool_check("pool.hostname", "The pool has its own hostname")
def hostname(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    gateway, ingress = snapshot.values.gateway.enabled, snapshot.values.ingress.enabled
    taken = [split.hostname for split in snapshot.values.gateway.splits] if gateway else []
    taken += [each.hostname for each in snapshot.plan.pools if each is not pool]
    if not gateway and not ingress and (not pool.hostname or pool.hostname not in taken):
        return
    if not pool.hostname:
        seen = f"{'gateway' if gateway else 'ingress'}.enabled needs a hostname for each pool, and hostname is empty"
        yield failed(seen, "Set hostname to the name that the platform's agents call, e.g. voice.example.com.")
    elif pool.hostname in taken:
        yield failed(
            f"another pool or split also has the hostname {pool.hostname}",
            "Set a different hostname for each pool and split: the field `model` never chooses between pools.",
        )
    else:
        yield passed(pool.hostname)


@pool_check("pool.runtime-class", "The runtime class exists")
def runtime_class(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    fix = "Set runtimeClassName to an existing class, or leave it empty. The NVIDIA GPU operator creates `nvidia`."
    yield from _named(snapshot, "RuntimeClass", pool.runtime_class_name, "/apis/node.k8s.io/v1/runtimeclasses", fix)


@pool_check("pool.priority-class", "The priority class exists")
def priority_class(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    fix = "Set priorityClassName to an existing class, leave it empty, or create the class. No pod can start without it."
    yield from _named(snapshot, "PriorityClass", pool.priority_class_name, "/apis/scheduling.k8s.io/v1/priorityclasses", fix)


def _named(snapshot: Snapshot, kind: str, name: str, path: str, fix: str) -> Iterator[Found]:
    if not name:
        return
    if snapshot.cluster.get(f"{path}/{name}") is None:
        yield failed(f"the {kind} {name} does not exist", fix)
    else:
        yield passed(name)


@pool_check("pool.rollout", "A rollout is not an outage")
def rollout(_: Snapshot, pool: Pool) -> Iterator[Found]:
    if pool.rollout.spare_gpus or least_replicas(pool) > 1:
        yield passed(
            "a new pod starts before an old one ends" if pool.rollout.spare_gpus else "one replica is replaced at a time"
        )
        return
    lifecycle = pool.lifecycle
    # The chart's NOTES count the same: an old pod ends, then a new one loads.
    seconds = lifecycle.lameduck_seconds + lifecycle.drain_seconds + lifecycle.stop_seconds + 5 + lifecycle.startup_seconds
    seconds += lifecycle.download_seconds if downloads(pool) else 0
    yield warned(
        f"there is one replica and no spare GPU, so each rollout is an outage of up to about {math.ceil(seconds / 60)} min",
        "Set rollout.spareGpus to true if GPUs are free for a second pod, or set replicas to 2.",
    )
