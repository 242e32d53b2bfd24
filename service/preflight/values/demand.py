"""What a pool asks of the cluster, as the chart will ask it."""

from decimal import Decimal

from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.pool_values import Pool
from service.preflight.values.pool_values import Resources as GivenResources
from service.settings import EMBEDDED_MODEL

Resources = dict[str, Decimal]

PRODUCT_LABEL = "nvidia.com/gpu.product"


def least_replicas(pool: Pool) -> int:
    return pool.autoscaling.min_replicas if pool.autoscaling.enabled else pool.replicas


def pods_of(pool: Pool) -> int:
    """That must run: of the least replicas, and of a rollout's spare one."""
    return (least_replicas(pool) + (1 if pool.rollout.spare_gpus else 0)) * pool.nodes


def most_replicas(pool: Pool) -> int:
    return max(pool.autoscaling.max_replicas, least_replicas(pool)) if pool.autoscaling.enabled else pool.replicas


def most_pods(pool: Pool) -> int:
    """At one time, a rollout's spare one included."""
    return (most_replicas(pool) + (1 if pool.rollout.spare_gpus else 0)) * pool.nodes


def is_from_hub(pool: Pool) -> bool:
    return pool.model.name != EMBEDDED_MODEL and not pool.model.name.startswith("/")


def downloads(pool: Pool) -> bool:
    return (is_from_hub(pool) or any(adapter.repo for adapter in pool.adapters)) and not pool.cache.offline


def node_labels(pool: Pool) -> dict[str, str]:
    product = {PRODUCT_LABEL: pool.gpu.product} if pool.gpu.enabled and pool.gpu.product else {}
    return {**pool.node_selector, **product}


def gpus_of_pod(pool: Pool) -> int:
    return pool.gpu.count if pool.gpu.enabled else 0


def requests_of_pod(pool: Pool) -> Resources:
    """By resource; one of `pods`, of which a node takes only so many. The container that fetches goes before the one that serves,
    and asks for the same but for GPUs: the pod asks for no more because of it.
    """
    asked = asked_of(pool.resources)
    if pool.cache.type == "emptyDir":
        asked = {"ephemeral-storage": quantity(pool.cache.size), **asked}
    return asked | ({pool.gpu.resource: Decimal(pool.gpu.count)} if pool.gpu.enabled else {})


def asked_of(resources: GivenResources) -> Resources:
    """Of a pod of one container. Kubernetes asks for the limit where nothing is asked for."""
    given = {**resources.limits, **resources.requests}
    return {name: quantity(value) for name, value in given.items()} | {"pods": Decimal(1)}


def limits_in(resources: GivenResources) -> Resources:
    return {name: quantity(value) for name, value in resources.limits.items()}


def requests_of(pod: Json) -> Resources:
    """Of a pod that is there: its containers together, or one of those that run before them, whichever is more."""
    spec = pod["spec"]
    starting = spec.get("initContainers") or ()
    beside = [each for each in starting if each.get("restartPolicy") == "Always"]
    total: Resources = {"pods": Decimal(1)}
    for container in [*spec.get("containers", ()), *beside]:
        total = add(total, _asked(container))
    for container in starting:
        total = {name: max(total.get(name, Decimal(0)), value) for name, value in {**total, **_asked(container)}.items()}
    return add(total | _asked(spec), {name: quantity(value) for name, value in (spec.get("overhead") or {}).items()})


def limits_of(pod: Json) -> Resources:
    total: Resources = {}
    for container in pod["spec"].get("containers", ()):
        limits = (container.get("resources") or {}).get("limits") or {}
        total = add(total, {name: quantity(value) for name, value in limits.items()})
    return total


def in_quota(requests: Resources, limits: Resources) -> Resources:
    """By the names that a ResourceQuota has; `cpu` and `memory` are its short ones for requests."""
    asked = {name if name == "pods" else f"requests.{name}": value for name, value in requests.items()}
    bare = {name: value for name, value in requests.items() if name in ("cpu", "memory")}
    return {**asked, **bare, **{f"limits.{name}": value for name, value in limits.items()}}


def add(one: Resources, other: Resources, times: int = 1) -> Resources:
    return {name: one.get(name, Decimal(0)) + times * other.get(name, Decimal(0)) for name in {**one, **other}}


def told(name: str, value: Decimal) -> str:
    """As a person would write it."""
    if "memory" in name or "storage" in name:
        return f"{value / 2**30:.4g}Gi"
    return f"{value.normalize():f}"


def _asked(container: Json) -> Resources:
    resources = container.get("resources") or {}
    return {name: quantity(value) for name, value in (resources.get("requests") or {}).items()}
