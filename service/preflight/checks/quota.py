"""ResourceQuotas and LimitRanges of the namespace, compared with all pods that the chart creates."""

from collections.abc import Iterator
from decimal import Decimal

from service.preflight.checks.definition import cluster_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, passed, some, warned
from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.demand import Resources, add, format_quantity, in_quota, limits_in, pods_of
from service.preflight.values.pool_values import Pool
from service.preflight.values.pool_values import Resources as GivenResources
from service.preflight.values.workloads import Workload, workloads

_ZERO = Decimal(0)


@cluster_check("namespace.quota", "The quota is large enough")
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
                seen = f"{name} has scopes and may apply to these pods: {'; '.join(over)}"
                yield warned(seen, "Raise the ResourceQuota, or lower replicas, gpu.count or resources.")
        elif over:
            yield failed(f"{name}: {'; '.join(over)}", "Raise the ResourceQuota, or lower replicas, gpu.count or resources.")
        elif unlimited:
            fix = "Set limits in the pool's resources, in tools.resources and in inferencePool.resources."
            yield failed(f"{name} refuses pods without these limits: {some(unlimited)}", fix)
        else:
            yield passed(f"{name} is large enough")


@cluster_check("namespace.limit-range", "The LimitRanges allow the pods and volumes")
def limit_range(snapshot: Snapshot) -> Iterator[Found]:
    containers, pods = _limits(snapshot, "Container"), _limits(snapshot, "Pod")
    for each in workloads(snapshot.plan):
        limits = _limits_of(snapshot, each.resources)
        largest = {name: max(value, limits.get(name, value)) for name, value in {**limits, **each.requests}.items()}
        if over := _above(largest, [*containers, *pods]):
            yield failed(f"{each.name}: {'; '.join(over)}", f"Raise the LimitRange, or lower {each.where}.")
        elif over := _above_default(each, limits):
            yield failed(
                f"{each.name}: {'; '.join(over)}",
                f"Set limits in {each.where}, because the LimitRange's defaults are below the requests.",
            )
    for pool in snapshot.plan.pools:
        if over := _above(_claims(pool, 1, "storage"), _limits(snapshot, "PersistentVolumeClaim")):
            yield failed(f"pool {pool.name}: {'; '.join(over)}", "Raise the LimitRange, or lower cache.size.")


def _above_default(workload: Workload, limits: Resources) -> list[str]:
    """Find resource requests above the default limit of a LimitRange. Kubernetes refuses such a pod."""
    return [
        f"{name} request {format_quantity(name, value)} is above the default limit {format_quantity(name, limits[name])}"
        for name, value in workload.requests.items()
        if name not in workload.resources.limits and value > limits.get(name, value)
    ]


def _above(asked: Resources, limits: list[Json]) -> list[str]:
    most = [(name, value) for limit in limits for name, value in (limit.get("max") or {}).items()]
    return [
        f"{name} {format_quantity(name, asked[name])} is above the maximum {value}"
        for name, value in most
        if asked.get(name, _ZERO) > quantity(value)
    ]


def _new(snapshot: Snapshot) -> Resources:
    """Return what the installation adds. At an upgrade, the quota already counts the release's pods and volumes."""
    total: Resources = {}
    for each in workloads(snapshot.plan):
        total = add(total, in_quota(each.requests, _limits_of(snapshot, each.resources)), each.pods)
    for pool in [] if snapshot.usage.own else snapshot.plan.pools:
        claims = {"claim": 1, "perReplica": pods_of(pool)}.get(pool.cache.type, 0)
        total = add(total, _claims(pool, claims, "requests.storage"))
    return add(total, snapshot.usage.own, -1)


def _limits_of(snapshot: Snapshot, resources: GivenResources) -> Resources:
    """Return the limits of a container. A LimitRange adds its default, else its maximum, for those that are not set."""
    given: Resources = {}
    for limit in _limits(snapshot, "Container"):
        given |= {name: quantity(value) for name, value in {**(limit.get("max") or {}), **(limit.get("default") or {})}.items()}
    return {**given, **limits_in(resources)}


def _claims(pool: Pool, count: int, name: str) -> Resources:
    is_claimed = pool.cache.type in ("claim", "perReplica")
    return {"persistentvolumeclaims": Decimal(count), name: count * quantity(pool.cache.size)} if is_claimed else {}


def _over(key: str, hard: str, used: str, new: Resources) -> str:
    left = max(quantity(hard) - quantity(used), _ZERO)
    if new.get(key, _ZERO) <= left:
        return ""
    return f"{key} has {format_quantity(key, left)} of {hard} left, and the release needs {format_quantity(key, new[key])}"


def _unlimited(snapshot: Snapshot, hard: Json) -> list[str]:
    """Find limits that are missing. A quota of limits needs every container to have them."""
    return [
        f"{name} of {each.name}"
        for each in workloads(snapshot.plan)
        for name in ("cpu", "memory")
        if f"limits.{name}" in hard and name not in _limits_of(snapshot, each.resources)
    ]


def _limits(snapshot: Snapshot, kind: str) -> list[Json]:
    ranges = snapshot.cluster.all(f"/api/v1/{snapshot.namespaced}/limitranges")
    return [limit for each in ranges for limit in each["spec"].get("limits") or () if limit["type"] == kind]
