"""The input of the checks: the plan, the cluster, and data that several checks need and that is read once."""

from functools import cached_property

from service.preflight.cluster.client import Cluster, LookupFailed, PermissionMissing
from service.preflight.cluster.malformed_nodes import fault_of
from service.preflight.cluster.model_hub import ModelHub
from service.preflight.cluster.nodes import NodeFilter, filter_nodes
from service.preflight.cluster.placement import Free, Placement, Usage, free_of, place_pools
from service.preflight.finding import PreflightError
from service.preflight.kubernetes_types import Json
from service.preflight.values.demand import requests_of_pod
from service.preflight.values.load_values import Plan
from service.preflight.values.pool_values import Pool

_RUNNING = ("fieldSelector", "status.phase!=Succeeded,status.phase!=Failed")


class Snapshot:
    """The plan and the state of the cluster. Each property may raise `LookupFailed`."""

    def __init__(self, plan: Plan, cluster: Cluster, hub: ModelHub | None) -> None:
        self.plan = plan
        self.values = plan.values
        self.cluster = cluster
        self.hub = hub
        """None means preflight must not query the model hub."""

    @property
    def namespaced(self) -> str:
        return f"namespaces/{self.plan.namespace}"

    @cached_property
    def _checked_nodes(self) -> tuple[list[Json], list[str]]:
        asked = {name for pool in self.plan.pools for name in requests_of_pod(pool)}
        nodes = self.cluster.every("/api/v1/nodes", take=lambda nodes: [_trimmed(node) for node in nodes])
        faults = [fault_of(node, asked) for node in nodes]
        return [node for node, fault in zip(nodes, faults, strict=True) if not fault], [fault for fault in faults if fault]

    @property
    def nodes(self) -> list[Json]:
        """Nodes of the cluster, without the malformed ones."""
        return self._checked_nodes[0]

    @property
    def malformed_nodes(self) -> list[str]:
        """Names of the malformed nodes, each with its fault."""
        return self._checked_nodes[1]

    @cached_property
    def usage(self) -> Usage:
        plan = self.plan
        return self.cluster.every("/api/v1/pods", _RUNNING, take=lambda pods: Usage(pods, plan.release, plan.namespace))

    def require_nodes_and_pods(self) -> None:
        """Read nodes and pods, without which no result is possible. Raises `PreflightError` when it cannot list them."""
        needs, faults = [], []
        for kind, look in (("nodes", lambda: self.nodes), ("pods", lambda: self.usage)):
            try:
                look()
            except PermissionMissing:
                needs.append(kind)
            except LookupFailed as why:
                faults.append(str(why))
        if needs:
            faults.insert(0, f"it needs the permission list on {' and '.join(needs)}; docs/preflight.md has the role")
        if faults:
            raise PreflightError(f"Preflight cannot check the cluster {self.cluster.name}: {'; '.join(faults)}.")

    @cached_property
    def node_filters(self) -> dict[str, NodeFilter]:
        """Filtered nodes by pool name."""
        return {pool.name: filter_nodes(pool, self.nodes) for pool in self.plan.pools}

    def usable(self, pool: Pool) -> list[Json]:
        return self.node_filters[pool.name].usable

    @cached_property
    def free(self) -> Free:
        return free_of(self.nodes, self.usage)

    @cached_property
    def placements(self) -> dict[str, Placement]:
        """Placement by pool name."""
        return place_pools(self.plan.pools, {name: nodes.usable for name, nodes in self.node_filters.items()}, self.free)

    @cached_property
    def namespace(self) -> Json | None:
        return self.cluster.get(f"/api/v1/{self.namespaced}")

    @property
    def namespace_labels(self) -> dict[str, str]:
        return (self.namespace or {}).get("metadata", {}).get("labels") or {}

    def secret(self, name: str) -> Json | None:
        """Read a Secret. Its contents stay in memory and must never be in a result."""
        return self.cluster.get(f"/api/v1/{self.namespaced}/secrets/{name}")


def _trimmed(node: Json) -> Json:
    """Remove the parts of a node that take the most memory: managed fields, annotations and the list of images."""
    for part, long in (("metadata", "managedFields"), ("metadata", "annotations"), ("status", "images")):
        if isinstance(node.get(part), dict):
            node[part].pop(long, None)
    return node
