"""Where pods would go: what nodes have free, and how many pods of each pool find a place. The pools share the nodes."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from service.preflight.cluster.nodes import name_of
from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.demand import (
    Resources,
    add,
    in_quota,
    least_replicas,
    limits_of,
    most_replicas,
    requests_of,
    requests_of_pod,
    told,
)
from service.preflight.values.pool_values import Pool

Free = dict[str, Resources]
"""By node."""

_OVER = ("Succeeded", "Failed")
_NONE = Decimal(0)


class Usage:
    """One walk over all pods, of which there may be tens of thousands: none is kept."""

    def __init__(self, pods: Iterable[Json], release: str, namespace: str) -> None:
        self.of_nodes: Free = {}
        """Without this release's own, which are the ones that are replaced."""
        self.own: Resources = {}
        """By the names that quotas have."""
        self.apps: set[str] = set()
        """What runs in the cluster, by the labels that charts set."""
        self.odd: list[str] = []
        """Pods that are not as Kubernetes has them, and are not counted."""
        for pod in pods:
            try:
                if (pod.get("status") or {}).get("phase") not in _OVER:
                    self._take(pod, release, namespace)
            except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
                self.odd.append(_name(pod))

    def _take(self, pod: Json, release: str, namespace: str) -> None:
        labels = pod["metadata"].get("labels") or {}
        self.apps |= {labels[key] for key in ("app.kubernetes.io/name", "app", "k8s-app") if key in labels}
        is_ours = labels.get("app.kubernetes.io/name") == "firstword" and labels.get("app.kubernetes.io/instance") == release
        if is_ours and pod["metadata"].get("namespace") == namespace and "firstword.io/pool" in labels:
            self.own = add(self.own, in_quota(requests_of(pod), limits_of(pod)))
        elif node := pod["spec"].get("nodeName"):
            self.of_nodes[node] = add(self.of_nodes.get(node, {}), requests_of(pod))


@dataclass(frozen=True)
class Placement:
    """Pods of a pool: wanted at least, placed, and placed of what a rollout and the autoscaler would add."""

    wanted: int
    placed: int
    spare_placed: int
    more_wanted: int
    more_placed: int
    lacking: str
    """Why the next one finds no place; empty where it does."""


def allocatable(node: Json) -> Resources:
    """What can be read. What is asked for can be: else the node is one of the odd ones."""
    result = {}
    for name, value in (node["status"].get("allocatable") or {}).items():
        with contextlib.suppress(ValueError, ArithmeticError):
            result[name] = quantity(value)
    return result


def free_of(nodes: list[Json], usage: Usage) -> Free:
    return {name_of(node): add(allocatable(node), usage.of_nodes.get(name_of(node), {}), -1) for node in nodes}


def place_pools(pools: Iterable[Pool], usable: Mapping[str, list[Json]], free: Free) -> dict[str, Placement]:
    """Those with the least choice first. First what must run, then what each would add."""
    pools, left = sorted(pools, key=lambda pool: len(usable[pool.name])), dict(free)
    placed = {pool.name: _place(pool, usable[pool.name], left, least_replicas(pool) * pool.nodes) for pool in pools}
    result = {}
    for pool in pools:
        nodes, more = usable[pool.name], (most_replicas(pool) - least_replicas(pool)) * pool.nodes
        result[pool.name] = Placement(
            wanted=least_replicas(pool) * pool.nodes,
            placed=placed[pool.name],
            spare_placed=_place(pool, nodes, dict(left), pool.nodes),
            more_wanted=more,
            more_placed=_place(pool, nodes, dict(left), more),
            lacking=_lacking(pool, nodes, left),
        )
    return result


def _place(pool: Pool, nodes: list[Json], free: Free, count: int) -> int:
    """How many of so many find a place; takes it from `free`."""
    asked = requests_of_pod(pool)
    for done in range(count):
        fitting = [name_of(node) for node in nodes if _fits(asked, free[name_of(node)])]
        if not fitting:
            return done
        # Where the fewest GPUs would be left: larger pods may need the emptier nodes.
        chosen = min(fitting, key=lambda name: free[name].get(pool.gpu.resource, _NONE))
        free[chosen] = add(free[chosen], asked, -1)
    return count


def _fits(asked: Resources, free: Resources) -> bool:
    return all(free.get(name, _NONE) >= value for name, value in asked.items())


def _name(pod: Json) -> str:
    metadata = pod.get("metadata") or {}
    return f"{metadata.get('namespace', '?')}/{metadata.get('name', '?')}"


def _lacking(pool: Pool, nodes: list[Json], free: Free) -> str:
    asked = requests_of_pod(pool)
    if any(_fits(asked, free[name_of(node)]) for node in nodes):
        return ""
    for name, value in sorted(asked.items(), key=lambda each: each[0] != pool.gpu.resource):
        most = max((free[name_of(node)].get(name, _NONE) for node in nodes), default=_NONE)
        if most < value:
            return (
                f"a pod takes {told(name, value)} {name}, and the most that is free on one node is {told(name, max(most, _NONE))}"
            )
    return "no node has all that a pod takes free at once: " + ", ".join(f"{told(*each)} {each[0]}" for each in asked.items())
