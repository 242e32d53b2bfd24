"""How much the namespace lets run: ResourceQuotas and LimitRanges, for all that the chart makes pods of."""

from collections.abc import Iterator
from decimal import Decimal

from service.preflight.checks.definition import cluster_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, doubtful, good, some, wrong
from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.demand import Resources, add, in_quota, limits_in, pods_of, told
from service.preflight.values.pool_values import Pool
from service.preflight.values.pool_values import Resources as GivenResources
from service.preflight.values.workloads import Workload, workloads

_ZERO = Decimal(0)


@cluster_check("namespace.quota", "The quota has room")
def quota(snapshot: Snapshot) -> Iterator[Found]:
    if not (quotas := snapshot.cluster.all(f"/api/v1/{snapshot.namespaced}/resourcequotas")):
        return
    new = _new(snapshot)
    for each in quotas:
        name, hard, used = each["metadata"]["name"], each["spec"].get("hard") or {}, each.get("status", {}).get("used") or {}
        over = [line for key in hard if (line := _over(key, hard[key], used.get(key, 0), new))]
        unlimited = _unlimited(snapshot, hard)
        if each["spec"].get("scopes") or each["spec"].get("scopeSelector"):
            if over:
                yield doubtful(f"{name}, if it covers these pods: {'; '.join(over)}", "Raise it, or ask for less.")
        elif over:
            yield wrong(f"{name}: {'; '.join(over)}", "Raise the ResourceQuota, or ask for less: replicas, gpu.count, resources.")
        elif unlimited:
            fix = "Set them: limits of the pool's resources, of tools.resources and of inferencePool.resources."
            yield wrong(f"{name} refuses pods without such limits: {some(unlimited)}", fix)
        else:
            yield good(f"{name} has room")


@cluster_check("namespace.limit-range", "LimitRanges let pods and volumes be so large")
def limit_range(snapshot: Snapshot) -> Iterator[Found]:
    containers, pods = _limits(snapshot, "Container"), _limits(snapshot, "Pod")
    for each in workloads(snapshot.plan):
        limits = _limits_of(snapshot, each.resources)
        largest = {name: max(value, limits.get(name, value)) for name, value in {**limits, **each.requests}.items()}
        if over := _above(largest, [*containers, *pods]):
            yield wrong(f"{each.name}: {'; '.join(over)}", f"Raise the LimitRange, or lower {each.where}.")
        elif over := _above_default(each, limits):
            yield wrong(f"{each.name}: {'; '.join(over)}", f"Set limits in {each.where}: a LimitRange's are below the requests.")
    for pool in snapshot.plan.pools:
        if over := _above(_claims(pool, 1, "storage"), _limits(snapshot, "PersistentVolumeClaim")):
            yield wrong(f"pool {pool.name}: {'; '.join(over)}", "Raise the LimitRange, or lower cache.size.")


def _above_default(workload: Workload, limits: Resources) -> list[str]:
    """No pod is made that asks for more than its limit."""
    return [
        f"{name} {told(name, value)}, and without a limit of its own it gets {told(name, limits[name])}"
        for name, value in workload.requests.items()
        if name not in workload.resources.limits and value > limits.get(name, value)
    ]


def _above(asked: Resources, limits: list[Json]) -> list[str]:
    most = [(name, value) for limit in limits for name, value in (limit.get("max") or {}).items()]
    return [
        f"{name} {told(name, asked[name])}, and at most {value} is allowed"
        for name, value in most
        if asked.get(name, _ZERO) > quantity(value)
    ]


def _new(snapshot: Snapshot) -> Resources:
    """What the installation adds. At an upgrade its pods are there already, and so are its volumes."""
    total: Resources = {}
    for each in workloads(snapshot.plan):
        total = add(total, in_quota(each.requests, _limits_of(snapshot, each.resources)), each.pods)
    for pool in [] if snapshot.usage.own else snapshot.plan.pools:
        claims = {"claim": 1, "perReplica": pods_of(pool)}.get(pool.cache.type, 0)
        total = add(total, _claims(pool, claims, "requests.storage"))
    return add(total, snapshot.usage.own, -1)


def _limits_of(snapshot: Snapshot, resources: GivenResources) -> Resources:
    """A LimitRange gives those that are not set. Where it has none by default, its most is the default."""
    given: Resources = {}
    for limit in _limits(snapshot, "Container"):
        given |= {name: quantity(value) for name, value in {**(limit.get("max") or {}), **(limit.get("default") or {})}.items()}
    return {**given, **limits_in(resources)}


def _claims(pool: Pool, count: int, name: str) -> Resources:
    is_claimed = pool.cache.type in ("claim", "perReplica")
    return {"persistentvolumeclaims": Decimal(count), name: count * quantity(pool.cache.size)} if is_claimed else {}


def _over(key: str, hard: str, used: str, new: Resources) -> str:
    room = max(quantity(hard) - quantity(used), _ZERO)
    if new.get(key, _ZERO) <= room:
        return ""
    return f"{key} has {told(key, room)} of {hard} left, and {told(key, new[key])} are needed"


def _unlimited(snapshot: Snapshot, hard: Json) -> list[str]:
    """A quota of limits wants each container to have them."""
    return [
        f"{name} of {each.name}"
        for each in workloads(snapshot.plan)
        for name in ("cpu", "memory")
        if f"limits.{name}" in hard and name not in _limits_of(snapshot, each.resources)
    ]


def _limits(snapshot: Snapshot, kind: str) -> list[Json]:
    ranges = snapshot.cluster.all(f"/api/v1/{snapshot.namespaced}/limitranges")
    return [limit for each in ranges for limit in each["spec"].get("limits") or () if limit["type"] == kind]
