"""What the values say of a pool, by itself and against the names that the cluster has."""

import math
from collections.abc import Iterator

from service.preflight.demand import downloads, least_replicas
from service.preflight.finding import Found, doubtful, good, pool_check, some, wrong
from service.preflight.pool_values import Pool
from service.preflight.survey import Survey


@pool_check("pool.values", "The pool's values go together")
def values(survey: Survey, pool: Pool) -> Iterator[Found]:
    """What the chart would refuse to render."""
    scaling, twins = pool.autoscaling, [each for each in survey.plan.pools if each.name == pool.name]
    if len(twins) > 1:
        yield wrong(f"two pools are named {pool.name}", "Give each a name of its own.")
    if pool.gpu.enabled and not pool.gpu.count:
        yield wrong("gpu.count is 0", "Set it to 1 or more, or gpu.enabled to false for a pool without GPUs.")
    if pool.nodes > 1 and not pool.gpu.enabled:
        yield wrong(f"nodes is {pool.nodes}, and only GPU pools span nodes", "Set gpu.enabled to true or nodes to 1.")
    if len(name := f"{survey.plan.fullname}-{pool.name}") > 52:
        yield wrong(
            f"objects would be named {name}, {len(name)} characters long", "Shorten the release's or the pool's name to 52."
        )
    if scaling.enabled and not scaling.turns_per_second:
        yield wrong("autoscaling.turnsPerSecond is 0", "Set it to the launch report's turns/s per replica (docs/launch.md).")
    if scaling.enabled and scaling.min_replicas > scaling.max_replicas:
        yield wrong(
            f"autoscaling.minReplicas is {scaling.min_replicas}, maxReplicas {scaling.max_replicas}",
            "The least cannot be above the most.",
        )
    if bare := [adapter.name for adapter in pool.adapters if bool(adapter.repo) == bool(adapter.path)]:
        yield wrong(f"adapters {some(bare)} have neither repo nor path, or both", "Set one of the two.")


@pool_check("pool.hostname", "The pool has a host name of its own")
def hostname(survey: Survey, pool: Pool) -> Iterator[Found]:
    gateway, ingress = survey.values.gateway.enabled, survey.values.ingress.enabled
    if not gateway and not ingress:
        return
    taken = [split.hostname for split in survey.values.gateway.splits] if gateway else []
    taken += [each.hostname for each in survey.plan.pools if each is not pool]
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
def runtime_class(survey: Survey, pool: Pool) -> Iterator[Found]:
    fix = "Set runtimeClassName to one that there is, or to nothing. The NVIDIA GPU operator makes `nvidia`."
    yield from _named(survey, "RuntimeClass", pool.runtime_class_name, "/apis/node.k8s.io/v1/runtimeclasses", fix)


@pool_check("pool.priority-class", "The priority class is there")
def priority_class(survey: Survey, pool: Pool) -> Iterator[Found]:
    fix = "Set priorityClassName to one that there is, or to nothing, or create it: no pod is made before."
    yield from _named(survey, "PriorityClass", pool.priority_class_name, "/apis/scheduling.k8s.io/v1/priorityclasses", fix)


def _named(survey: Survey, kind: str, name: str, path: str, fix: str) -> Iterator[Found]:
    if not name:
        return
    if survey.cluster.get(f"{path}/{name}") is None:
        yield wrong(f"there is no {kind} {name}", fix)
    else:
        yield good(name)


@pool_check("pool.rollout", "A rollout leaves somebody to answer")
def rollout(_: Survey, pool: Pool) -> Iterator[Found]:
    if pool.rollout.spare_gpus or least_replicas(pool) > 1:
        yield good("a new pod starts before an old one ends" if pool.rollout.spare_gpus else "one replica at a time is replaced")
        return
    seconds = pool.lifecycle.startup_seconds + (pool.lifecycle.download_seconds if downloads(pool) else 0)
    yield doubtful(
        f"one replica, and no spare: each rollout is an outage of up to {math.ceil(seconds / 60)} min",
        "Set rollout.spareGpus to true if GPUs are free for a second pod meanwhile, or replicas to 2.",
    )
