"""What the chart would refuse to render: as templates/_checks.tpl and _checks_edge.tpl have it. What belongs to one subject is
refused by that subject's checks: keys, hostnames, volumes, gateways.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from service.engine.models.embedded import MODEL_NAME
from service.preflight.checks import chart_rules
from service.preflight.checks.definition import cluster_check, pool_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, some, wrong
from service.preflight.values.demand import is_from_hub
from service.preflight.values.pool_values import Pool
from service.settings import EMBEDDED_MODEL

_LONGEST_NAME, _LONGEST_PICKER = 52, 63
_OF_THE_CHART = ("dashboard-", "loadtest-")
_SHORTER = "Shorten the release's or the pool's name"


@cluster_check("chart.values", "The chart takes the values")
def chart(snapshot: Snapshot) -> Iterator[Found]:
    values, pools = snapshot.values, [pool.name for pool in snapshot.plan.pools]
    if values.security_context.run_as_user == 0:
        yield wrong("securityContext.runAsUser: 0 is root", "Take any other, or -1 for whom the cluster chooses.")
    if values.inference_pool.enabled and not values.gateway.enabled:
        fix = "Set gateway.enabled to true, with a gateway that supports InferencePool, or inferencePool.enabled to false."
        yield wrong("inferencePool.enabled: it is the gateway that asks the picker, and gateway.enabled is false", fix)
    if values.load_test.enabled and values.load_test.pool and values.load_test.pool not in pools:
        yield wrong(f"loadTest.pool: there is no pool {values.load_test.pool}", f"Set it to one that there is: {some(pools)}.")
    yield from chart_rules.of_release(snapshot)
    yield from _splits(snapshot, pools)


def _splits(snapshot: Snapshot, pools: list[str]) -> Iterator[Found]:
    gateway = snapshot.values.gateway
    if gateway.splits and not gateway.enabled:
        yield wrong("gateway.splits are HTTPRoutes, and gateway.enabled is false", "Set it to true, or take the splits out.")
    for name in _twice(split.name for split in gateway.splits):
        yield wrong(f"gateway.splits: two are named {name}", "Give each a name of its own.")
    for hostname in _twice(split.hostname for split in gateway.splits):
        yield wrong(f"gateway.splits: two have the hostname {hostname}", "Give each a hostname of its own.")
    for split in gateway.splits:
        if f"split-{split.name}" in pools:
            yield wrong(f"the route of the split {split.name} would have the name of the pool split-{split.name}", "Rename one.")
        if split.hostname in [pool.hostname for pool in snapshot.plan.pools]:
            yield wrong(f"gateway.splits, {split.name}: {split.hostname} is a pool's", "Give the split a hostname of its own.")
        if strange := [share.pool for share in split.shares if share.pool not in pools]:
            yield wrong(f"gateway.splits, {split.name}: there is no pool {some(strange)}", f"There is {some(pools)}.")
        if not any(share.weight for share in split.shares):
            yield wrong(f"gateway.splits, {split.name}: all weights are 0: nobody would be served", "Give one more than 0.")


@pool_check("pool.values", "The pool's values go together")
def values(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if len([each for each in snapshot.plan.pools if each.name == pool.name]) > 1:
        yield wrong(f"two pools are named {pool.name}", "Give each a name of its own.")
    yield from _names(snapshot, pool)
    if pool.gpu.enabled and not pool.gpu.count:
        yield wrong("gpu.count is 0", "Set it to 1 or more, or gpu.enabled to false for a pool without GPUs.")
    if pool.nodes > 1 and not pool.gpu.enabled:
        yield wrong(f"nodes is {pool.nodes}, and only GPU pools span nodes", "Set gpu.enabled to true or nodes to 1.")
    yield from _scaling(pool)
    if bare := [adapter.name for adapter in pool.adapters if bool(adapter.repo) == bool(adapter.path)]:
        yield wrong(f"adapters {some(bare)} have neither repo nor path, or both", "Set one of the two.")
    for name in {*pool.model.aliases, _model_id(pool)} & {adapter.name for adapter in pool.adapters}:
        yield wrong(f"the adapter {name} has a name of the model itself", "Rename it: callers choose by name.")
    for name in _twice(adapter.name for adapter in pool.adapters):
        yield wrong(f"two adapters are named {name}", "Give each a name of its own: callers choose by it.")
    yield from _cache(pool)
    yield from chart_rules.labels(pool)
    yield from chart_rules.variables(pool)
    yield from chart_rules.resources(pool)


def _names(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if len(name := f"{snapshot.plan.fullname}-{pool.name}") > _LONGEST_NAME:
        yield wrong(f"objects would be named {name}, {len(name)} characters long", f"{_SHORTER} to {_LONGEST_NAME}.")
    if pool.name.startswith(_OF_THE_CHART):
        fix = f"Choose a name that does not begin with {' or '.join(_OF_THE_CHART)}."
        yield wrong(f"objects of the chart's own are named like {pool.name}", fix)
    picker = f"{pool.name}-picker-{snapshot.plan.fullname}"
    if snapshot.values.inference_pool.enabled and len(picker) > _LONGEST_PICKER:
        yield wrong(f"its picker would be named {picker}, {len(picker)} characters long", f"{_SHORTER} to {_LONGEST_PICKER}.")


def _scaling(pool: Pool) -> Iterator[Found]:
    scaling = pool.autoscaling
    if not scaling.enabled:
        return
    if not scaling.turns_per_second:
        yield wrong("autoscaling.turnsPerSecond is 0", "Set it to the launch report's turns/s per replica (docs/launch.md).")
    if scaling.min_replicas > scaling.max_replicas:
        seen = f"autoscaling.minReplicas is {scaling.min_replicas}, maxReplicas {scaling.max_replicas}"
        yield wrong(seen, "The least cannot be above the most.")
    if (most := max((ramp.replicas for ramp in scaling.cron), default=0)) > scaling.max_replicas:
        seen = f"autoscaling.cron asks for {most} replicas, and maxReplicas is {scaling.max_replicas}"
        yield wrong(seen, "Raise maxReplicas, or ask for fewer.")


def _cache(pool: Pool) -> Iterator[Found]:
    cache = pool.cache
    if cache.existing_claim and cache.type != "existing":
        seen = f"cache.existingClaim is set, and cache.type is {cache.type}"
        yield wrong(seen, "Set cache.type to existing, or take the claim's name out.")
    if cache.offline and cache.type in ("emptyDir", "perReplica") and is_from_hub(pool):
        seen = f"cache.offline is set, and a new volume of cache.type {cache.type} is empty"
        yield wrong(seen, "Use a claim that holds the model: cache.type claim or existing.")


def _model_id(pool: Pool) -> str:
    """As the service names it: a folder by its last part."""
    name = MODEL_NAME if pool.model.name == EMBEDDED_MODEL else pool.model.name
    return pool.model.served_name or (name.rstrip("/").rpartition("/")[2] if name.startswith("/") else name)


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
