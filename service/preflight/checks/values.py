"""Values that the chart refuses to render. templates/_checks.tpl and _checks_edge.tpl have the same rules.

The rules for API keys, hostnames, volumes and gateways are in the checks of those subjects.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from service.engine.models.embedded import MODEL_NAME
from service.preflight.checks import chart_rules
from service.preflight.checks.definition import cluster_check, pool_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, some
from service.preflight.values.demand import is_from_hub
from service.preflight.values.pool_values import Pool
from service.settings import EMBEDDED_MODEL

_LONGEST_NAME, _LONGEST_PICKER = 52, 63
_RESERVED_PREFIXES = ("dashboard-", "loadtest-")
_SHORTER = "Shorten the release name or the pool name"


@cluster_check("chart.values", "The chart accepts the values")
def chart(snapshot: Snapshot) -> Iterator[Found]:
    values, pools = snapshot.values, [pool.name for pool in snapshot.plan.pools]
    if values.security_context.run_as_user == 0:
        yield failed("securityContext.runAsUser is 0, which is root", "Set another user ID, or -1 to let the cluster choose.")
    if values.inference_pool.enabled and not values.gateway.enabled:
        fix = "Set gateway.enabled to true, with a gateway that supports InferencePool, or inferencePool.enabled to false."
        yield failed("inferencePool.enabled needs a gateway that queries the endpoint picker, and gateway.enabled is false", fix)
    if values.load_test.enabled and values.load_test.pool and values.load_test.pool not in pools:
        yield failed(
            f"loadTest.pool: the pool {values.load_test.pool} does not exist", f"Set it to one of the pools: {some(pools)}."
        )
    yield from chart_rules.of_release(snapshot)
    yield from _splits(snapshot, pools)


def _splits(snapshot: Snapshot, pools: list[str]) -> Iterator[Found]:
    gateway = snapshot.values.gateway
    if gateway.splits and not gateway.enabled:
        seen = "gateway.splits need gateway.enabled, which is false"
        yield failed(seen, "Set gateway.enabled to true, or remove the splits.")
    for name in _twice(split.name for split in gateway.splits):
        yield failed(f"gateway.splits: two splits have the name {name}", "Give each split a different name.")
    for hostname in _twice(split.hostname for split in gateway.splits):
        yield failed(f"gateway.splits: two splits have the hostname {hostname}", "Give each split a different hostname.")
    for split in gateway.splits:
        if f"split-{split.name}" in pools:
            seen = f"gateway.splits, {split.name}: its route would have the same name as the route of the pool split-{split.name}"
            yield failed(seen, "Rename the split or the pool.")
        if split.hostname in [pool.hostname for pool in snapshot.plan.pools]:
            seen = f"gateway.splits, {split.name}: a pool has the hostname {split.hostname}"
            yield failed(seen, "Give the split a different hostname.")
        if missing := [share.pool for share in split.shares if share.pool not in pools]:
            seen = f"gateway.splits, {split.name}: the pool {some(missing)} does not exist"
            yield failed(seen, f"Use one of the pools: {some(pools)}.")
        if not any(share.weight for share in split.shares):
            yield failed(f"gateway.splits, {split.name}: all weights are 0", "Set at least one weight above 0.")


@pool_check("pool.values", "The pool's values are consistent")
def values(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if len([each for each in snapshot.plan.pools if each.name == pool.name]) > 1:
        yield failed(f"two pools have the name {pool.name}", "Give each pool a different name.")
    yield from _names(snapshot, pool)
    if pool.gpu.enabled and not pool.gpu.count:
        yield failed("gpu.count is 0, and a GPU pool needs at least 1", "Raise gpu.count, or set gpu.enabled to false.")
    if pool.nodes > 1 and not pool.gpu.enabled:
        yield failed(f"nodes is {pool.nodes}, and a pool without GPUs needs 1", "Set gpu.enabled to true, or nodes to 1.")
    yield from _scaling(pool)
    if unclear := [adapter.name for adapter in pool.adapters if bool(adapter.repo) == bool(adapter.path)]:
        yield failed(f"adapters need either repo or path: {some(unclear)}", "Set exactly one of the two for each adapter.")
    for name in {*pool.model.aliases, _model_id(pool)} & {adapter.name for adapter in pool.adapters}:
        yield failed(f"the adapter {name} has a name of the model itself", "Rename it. Callers choose an adapter by its name.")
    for name in _twice(adapter.name for adapter in pool.adapters):
        yield failed(f"two adapters have the name {name}", "Rename one. Callers choose an adapter by its name.")
    yield from _cache(pool)
    yield from chart_rules.labels(pool)
    yield from chart_rules.variables(pool)
    yield from chart_rules.resources(pool)


def _names(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if len(name := f"{snapshot.plan.fullname}-{pool.name}") > _LONGEST_NAME:
        seen = f"the object name {name} has {len(name)} characters, and the limit is {_LONGEST_NAME}"
        yield failed(seen, f"{_SHORTER}.")
    if pool.name.startswith(_RESERVED_PREFIXES):
        fix = f"Choose a name that does not begin with {' or '.join(_RESERVED_PREFIXES)}."
        yield failed(f"the pool name {pool.name} has a prefix of the chart's own objects", fix)
    picker = f"{pool.name}-picker-{snapshot.plan.fullname}"
    if snapshot.values.inference_pool.enabled and len(picker) > _LONGEST_PICKER:
        seen = f"the endpoint picker's name {picker} has {len(picker)} characters, and the limit is {_LONGEST_PICKER}"
        yield failed(seen, f"{_SHORTER}.")


def _scaling(pool: Pool) -> Iterator[Found]:
    scaling = pool.autoscaling
    if not scaling.enabled:
        return
    if not scaling.turns_per_second:
        yield failed(
            "autoscaling.turnsPerSecond is 0", "Set it to the turns/s per replica of the launch report (docs/launch.md)."
        )
    if scaling.min_replicas > scaling.max_replicas:
        seen = (
            f"autoscaling.minReplicas is {scaling.min_replicas}, above autoscaling.maxReplicas, which is {scaling.max_replicas}"
        )
        yield failed(seen, "Lower minReplicas, or raise maxReplicas.")
    if (most := max((ramp.replicas for ramp in scaling.cron), default=0)) > scaling.max_replicas:
        seen = f"autoscaling.cron sets {most} replicas, above autoscaling.maxReplicas, which is {scaling.max_replicas}"
        yield failed(seen, "Raise maxReplicas, or lower the replicas of autoscaling.cron.")


def _cache(pool: Pool) -> Iterator[Found]:
    cache = pool.cache
    if cache.existing_claim and cache.type != "existing":
        seen = f"cache.existingClaim is set, and cache.type is {cache.type}"
        yield failed(seen, "Set cache.type to existing, or remove cache.existingClaim.")
    if cache.offline and cache.type in ("emptyDir", "perReplica") and is_from_hub(pool):
        seen = f"cache.offline is true, and a new volume of cache.type {cache.type} is empty"
        yield failed(seen, "Set cache.type to claim or existing, with a claim that holds the model.")


def _model_id(pool: Pool) -> str:
    """Return the model ID, as the service forms it. For a folder it is the last part of the path."""
    name = MODEL_NAME if pool.model.name == EMBEDDED_MODEL else pool.model.name
    return pool.model.served_name or (name.rstrip("/").rpartition("/")[2] if name.startswith("/") else name)


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
