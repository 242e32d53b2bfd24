"""What the checks look at: the plan, the cluster, and what several of them need, asked once."""

from functools import cached_property

from service.preflight.cluster import Cluster, Json
from service.preflight.model_hub import ModelHub
from service.preflight.nodes import Sieve, sieve
from service.preflight.placement import Free, Placement, Usage, free_of, place_pools
from service.preflight.pool_values import Pool
from service.preflight.reading import Plan

_RUNNING = ("fieldSelector", "status.phase!=Succeeded,status.phase!=Failed")


class Survey:
    """Each property may raise `CouldNotLook`."""

    def __init__(self, plan: Plan, cluster: Cluster, hub: ModelHub | None) -> None:
        self.plan = plan
        self.values = plan.values
        self.cluster = cluster
        self.hub = hub
        """None: it shall not be asked."""

    @property
    def namespaced(self) -> str:
        return f"namespaces/{self.plan.namespace}"

    @cached_property
    def nodes(self) -> list[Json]:
        return [_trimmed(node) for node in self.cluster.every("/api/v1/nodes")]

    @cached_property
    def usage(self) -> Usage:
        return Usage(self.cluster.every("/api/v1/pods", _RUNNING), self.plan.release, self.plan.namespace)

    @cached_property
    def sieves(self) -> dict[str, Sieve]:
        """By pool."""
        return {pool.name: sieve(pool, self.nodes) for pool in self.plan.pools}

    def usable(self, pool: Pool) -> list[Json]:
        return self.sieves[pool.name].usable

    @cached_property
    def free(self) -> Free:
        return free_of(self.nodes, self.usage)

    @cached_property
    def placements(self) -> dict[str, Placement]:
        """By pool."""
        return place_pools(self.plan.pools, {name: nodes.usable for name, nodes in self.sieves.items()}, self.free)

    @cached_property
    def namespace(self) -> Json | None:
        return self.cluster.get(f"/api/v1/{self.namespaced}")

    @property
    def namespace_labels(self) -> dict[str, str]:
        return (self.namespace or {}).get("metadata", {}).get("labels") or {}

    def secret(self, name: str) -> Json | None:
        """What it holds stays in memory, and is told to nobody."""
        return self.cluster.get(f"/api/v1/{self.namespaced}/secrets/{name}")


def _trimmed(node: Json) -> Json:
    """Without the list of its images and what its managers wrote: most of it, where there are thousands."""
    node["metadata"].pop("managedFields", None)
    node["metadata"].pop("annotations", None)
    node["status"].pop("images", None)
    return node
