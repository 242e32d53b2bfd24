"""Simulated scheduling: the free resources of the nodes, and how many pods of each pool fit. The pools share the nodes."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from service.preflight.cluster.nodes import name_of
from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.demand import (
    Resources,
    add,
    format_quantity,
    in_quota,
    least_replicas,
    limits_of,
    most_replicas,
    requests_of,
    requests_of_pod,
)
from service.preflight.values.pool_values import Pool

Free = dict[str, Resources]
"""Free resources by node name."""

_OVER = ("Succeeded", "Failed")
_NONE = Decimal(0)


class Usage:
    """Resources that existing pods take. One pass over all pods keeps none of them, because there may be tens of thousands."""

    def __init__(self, pods: Iterable[Json], release: str, namespace: str) -> None:
        self.of_nodes: Free = {}
        """Requests by node, without the pods of this release, which the upgrade replaces."""
        self.own: Resources = {}
        """Requests and limits of this release's pods, by the names that quotas use."""
        self.apps: set[str] = set()
        """Names of the applications in the cluster, from the labels that charts set."""
        self.malformed: list[str] = []
        """Names of malformed pods, which are not counted."""
        for pod in pods:
            try:
                if (pod.get("status") or {}).get("phase") not in _OVER:
                    self._take(pod, release, namespace)
            except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
                self.malformed.append(_name(pod))

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
    """Numbers of a pool's pods."""

    wanted: int
    """Pods that must run."""
    placed: int
    """Pods of `wanted` that fit."""
    spare_placed: int
    """Pods of the spare replica of a rollout that fit."""
    more_wanted: int
    """Pods that the autoscaler may add."""
    more_placed: int
    """Pods of `more_wanted` that fit."""
    lacking: str
    """Why the next pod does not fit. Empty when it fits."""


def allocatable(node: Json) -> Resources:
    """Return the node's resources that can be read. Those that a pool requests can always be read: see malformed_nodes.py."""
    result = {}
    for name, value in (node["status"].get("allocatable") or {}).items():
        with contextlib.suppress(ValueError, ArithmeticError):
            result[name] = quantity(value)
    return result


def free_of(nodes: list[Json], usage: Usage) -> Free:
    return {name_of(node): add(allocatable(node), usage.of_nodes.get(name_of(node), {}), -1) for node in nodes}


def place_pools(pools: Iterable[Pool], usable: Mapping[str, list[Json]], free: Free) -> dict[str, Placement]:
    """Place all pods that must run, pools with the fewest usable nodes first. Then try the additional pods of each pool."""
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
    """Place up to `count` pods and return how many fit. Takes their resources from `free`."""
    asked = requests_of_pod(pool)
    for done in range(count):
        fitting = [name_of(node) for node in nodes if _fits(asked, free[name_of(node)])]
        if not fitting:
            return done
        # Choose the node with the fewest free GPUs, because larger pods may need the emptier nodes.
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
            free_text = format_quantity(name, max(most, _NONE))
            return f"a pod needs {format_quantity(name, value)} {name}, and at most {free_text} is free on one node"
    needs = ", ".join(f"{format_quantity(*each)} {each[0]}" for each in asked.items())
    return f"no single node has everything that a pod needs: {needs}"
