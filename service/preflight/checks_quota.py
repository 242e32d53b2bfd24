"""How much the namespace lets run: ResourceQuotas and LimitRanges. Pods of `helm test` and the load test are not counted."""

from collections.abc import Iterator
from decimal import Decimal

from service.preflight.cluster import Json, quantity
from service.preflight.demand import Resources, add, in_quota, least_replicas, limits_of_pod, requests_of_pod, told
from service.preflight.finding import Found, cluster_check, doubtful, good, some, wrong
from service.preflight.pool_values import Pool
from service.preflight.survey import Survey

_ZERO = Decimal(0)


@cluster_check("namespace.quota", "The quota has room")
def quota(survey: Survey) -> Iterator[Found]:
    if not (quotas := survey.cluster.all(f"/api/v1/{survey.namespaced}/resourcequotas")):
        return
    new = _new(survey)
    for each in quotas:
        name, hard, used = each["metadata"]["name"], each["spec"].get("hard") or {}, each.get("status", {}).get("used") or {}
        over = [line for key in hard if (line := _over(key, hard[key], used.get(key, 0), new))]
        unlimited = _unlimited(survey, hard)
        if each["spec"].get("scopes") or each["spec"].get("scopeSelector"):
            if over:
                yield doubtful(f"{name}, if it covers these pods: {'; '.join(over)}", "Raise it, or ask for less.")
        elif over:
            yield wrong(f"{name}: {'; '.join(over)}", "Raise the ResourceQuota, or ask for less: replicas, gpu.count, resources.")
        elif unlimited:
            yield wrong(f"{name} refuses pods without such limits: {some(unlimited)}", "Set them in resources.limits.")
        else:
            yield good(f"{name} has room")


@cluster_check("namespace.limit-range", "LimitRanges let pods and volumes be so large")
def limit_range(survey: Survey) -> Iterator[Found]:
    for pool in survey.plan.pools:
        asked, limits = requests_of_pod(pool), limits_of_pod(pool)
        largest = {name: max(value, limits.get(name, value)) for name, value in asked.items()}
        if over := _above(largest, [*_limits(survey, "Container"), *_limits(survey, "Pod")]):
            yield wrong(f"pool {pool.name}: {'; '.join(over)}", "Raise the LimitRange, or lower the pool's resources.")
        if over := _above(_claims(pool, 1, "storage"), _limits(survey, "PersistentVolumeClaim")):
            yield wrong(f"pool {pool.name}: {'; '.join(over)}", "Raise the LimitRange, or lower cache.size.")


def _above(asked: Resources, limits: list[Json]) -> list[str]:
    most = [(name, value) for limit in limits for name, value in (limit.get("max") or {}).items()]
    return [
        f"{name} {told(name, asked[name])}, and at most {value} is allowed"
        for name, value in most
        if asked.get(name, _ZERO) > quantity(value)
    ]


def _new(survey: Survey) -> Resources:
    """What the installation adds. At an upgrade its pods are there already, and so are its volumes."""
    total: Resources = {}
    for pool in survey.plan.pools:
        pods = (least_replicas(pool) + (1 if pool.rollout.spare_gpus else 0)) * pool.nodes
        total = add(total, in_quota(requests_of_pod(pool), limits_of_pod(pool)), pods)
        if not survey.usage.own:
            total = add(total, _claims(pool, {"claim": 1, "perReplica": pods}.get(pool.cache.type, 0), "requests.storage"))
    return add(total, survey.usage.own, -1)


def _claims(pool: Pool, count: int, name: str) -> Resources:
    is_claimed = pool.cache.type in ("claim", "perReplica")
    return {"persistentvolumeclaims": Decimal(count), name: count * quantity(pool.cache.size)} if is_claimed else {}


def _over(key: str, hard: str, used: str, new: Resources) -> str:
    room = max(quantity(hard) - quantity(used), _ZERO)
    if new.get(key, _ZERO) <= room:
        return ""
    return f"{key} has {told(key, room)} of {hard} left, and {told(key, new[key])} are needed"


def _unlimited(survey: Survey, hard: Json) -> list[str]:
    """A quota of limits wants each container to have them. A LimitRange may give them by default."""
    defaults = {name for limit in _limits(survey, "Container") for name in limit.get("default") or ()}
    wanted = [name for name in ("cpu", "memory") if f"limits.{name}" in hard and name not in defaults]
    pools = survey.plan.pools
    return [f"{name} of pool {pool.name}" for pool in pools for name in wanted if name not in pool.resources.limits]


def _limits(survey: Survey, kind: str) -> list[Json]:
    ranges = survey.cluster.all(f"/api/v1/{survey.namespaced}/limitranges")
    return [limit for each in ranges for limit in each["spec"].get("limits") or () if limit["type"] == kind]
