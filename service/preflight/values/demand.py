"""The resources that a pool requests from the cluster. The chart computes the same."""

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
    """Number of pods that must run: those of the fewest replicas, and of the spare replica of a rollout."""
    return (least_replicas(pool) + (1 if pool.rollout.spare_gpus else 0)) * pool.nodes


def most_replicas(pool: Pool) -> int:
    return max(pool.autoscaling.max_replicas, least_replicas(pool)) if pool.autoscaling.enabled else pool.replicas


def most_pods(pool: Pool) -> int:
    """Highest number of pods at one time, with the spare replica of a rollout."""
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
    """Return the requests of one pod, by resource. `pods` is 1, because a node limits the number of pods too.

    The init container `fetch` runs before the server and requests the same without GPUs, so it adds nothing.
    """
    asked = asked_of(pool.resources)
    if pool.cache.type == "emptyDir":
        asked = {"ephemeral-storage": quantity(pool.cache.size), **asked}
    return asked | ({pool.gpu.resource: Decimal(pool.gpu.count)} if pool.gpu.enabled else {})


def asked_of(resources: GivenResources) -> Resources:
    """Return the requests of a pod of one container. A limit without a request is also the request, as in Kubernetes."""
    given = {**resources.limits, **resources.requests}
    return {name: quantity(value) for name, value in given.items()} | {"pods": Decimal(1)}


def limits_in(resources: GivenResources) -> Resources:
    return {name: quantity(value) for name, value in resources.limits.items()}


def requests_of(pod: Json) -> Resources:
    """Return the requests of an existing pod: the sum of its containers, or its largest init container if that is more."""
    spec = pod["spec"]
    init_containers = spec.get("initContainers") or ()
    sidecars = [each for each in init_containers if each.get("restartPolicy") == "Always"]
    total: Resources = {"pods": Decimal(1)}
    for container in [*spec.get("containers", ()), *sidecars]:
        total = add(total, _asked(container))
    for container in init_containers:
        total = {name: max(total.get(name, Decimal(0)), value) for name, value in {**total, **_asked(container)}.items()}
    return add(total | _asked(spec), {name: quantity(value) for name, value in (spec.get("overhead") or {}).items()})


def limits_of(pod: Json) -> Resources:
    total: Resources = {}
    for container in pod["spec"].get("containers", ()):
        limits = (container.get("resources") or {}).get("limits") or {}
        total = add(total, {name: quantity(value) for name, value in limits.items()})
    return total


def in_quota(requests: Resources, limits: Resources) -> Resources:
    """Rename the resources as a ResourceQuota names them. `cpu` and `memory` are its short names for requests."""
    asked = {name if name == "pods" else f"requests.{name}": value for name, value in requests.items()}
    bare = {name: value for name, value in requests.items() if name in ("cpu", "memory")}
    return {**asked, **bare, **{f"limits.{name}": value for name, value in limits.items()}}


def add(one: Resources, other: Resources, times: int = 1) -> Resources:
    return {name: one.get(name, Decimal(0)) + times * other.get(name, Decimal(0)) for name in {**one, **other}}


def format_quantity(name: str, value: Decimal) -> str:
    """Format a quantity for people: memory and storage in Gi, everything else as a plain number."""
    if "memory" in name or "storage" in name:
        return f"{value / 2**30:.4g}Gi"
    return f"{value.normalize():f}"


def _asked(container: Json) -> Resources:
    resources = container.get("resources") or {}
    return {name: quantity(value) for name, value in (resources.get("requests") or {}).items()}
