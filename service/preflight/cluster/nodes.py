"""Nodes that a pool's pods may run on. When there are none, the result says why."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from service.preflight.cluster.labels import holds
from service.preflight.finding import Found, failed, number, passed, some
from service.preflight.kubernetes_types import Json
from service.preflight.values.demand import PRODUCT_LABEL, node_labels
from service.preflight.values.pool_values import Pool

# Prefix of the taints that Kubernetes sets on unhealthy nodes.
_CONDITION_PREFIX = "node.kubernetes.io/"


@dataclass(frozen=True)
class NodeFilter:
    """The nodes that remain after each filter. Each list is a part of the one before it."""

    all: list[Json]
    labelled: list[Json]
    """Nodes with the pool's labels."""
    wanted: list[Json]
    """Nodes that also match the pool's node affinity."""
    tolerated: list[Json]
    """Nodes that also have only tolerated taints."""
    usable: list[Json]
    """Nodes that are also ready and not cordoned."""


def filter_nodes(pool: Pool, nodes: list[Json]) -> NodeFilter:
    labelled = [node for node in nodes if node_labels(pool).items() <= labels_of(node).items()]
    wanted = [node for node in labelled if _matches_affinity(pool, node)]
    tolerated = [node for node in wanted if not _untolerated_taints(pool, node)]
    return NodeFilter(nodes, labelled, wanted, tolerated, [node for node in tolerated if not _problem(pool, node)])


def check_nodes(pool: Pool, nodes: NodeFilter) -> Found:
    if nodes.usable:
        return passed(_summary(nodes))
    explanations: list[tuple[list[Json], Callable[[Pool, NodeFilter], Found]]] = [
        (nodes.all, _no_nodes),
        (nodes.labelled, _no_label),
        (nodes.wanted, _no_affinity),
        (nodes.tolerated, _tainted),
    ]
    return next((explain(pool, nodes) for left, explain in explanations if not left), None) or _not_ready(pool, nodes)


def name_of(node: Json) -> str:
    return str(node["metadata"]["name"])


def labels_of(node: Json) -> dict[str, str]:
    return node["metadata"].get("labels") or {}


def _summary(nodes: NodeFilter) -> str:
    steps = (
        ("have the labels", nodes.labelled, nodes.all),
        ("match the affinity", nodes.wanted, nodes.labelled),
        ("have only tolerated taints", nodes.tolerated, nodes.wanted),
        ("are ready", nodes.usable, nodes.tolerated),
    )
    parts = [f"{len(left)} {what}" for what, left, before in steps if len(left) < len(before)]
    whole = number(len(nodes.all), "node")
    names = some([name_of(node) for node in nodes.usable])
    return f"{', '.join([f'of {whole}', *parts])}: {names}" if parts else f"{whole}: {names}"


def _no_nodes(_: Pool, __: NodeFilter) -> Found:
    return failed("the cluster has no nodes", "Add nodes.")


def _no_label(pool: Pool, nodes: NodeFilter) -> Found:
    """Name the label that no node has. Otherwise, each label exists, but on different nodes."""
    for key, value in node_labels(pool).items():
        there = Counter(labels_of(node)[key] for node in nodes.all if key in labels_of(node))
        if value in there:
            continue
        where = "gpu.product" if key == PRODUCT_LABEL and key not in pool.node_selector else f"nodeSelector {key}"
        if there:
            kinds = some([f"{each} ({number(count, 'node')})" for each, count in there.most_common()])
            return failed(
                f"no node has the label {key}={value}", f"Set {where} to a value that nodes have: {kinds}. Or add such nodes."
            )
        fix = f"Label nodes: kubectl label node NAME {key}={value}. Or remove {where}."
        if key.startswith("nvidia.com/"):
            fix = (
                f"Install GPU feature discovery, a part of the NVIDIA GPU operator, which sets the label. Or leave {where} empty."
            )
        return failed(f"no node has the label {key}", fix)
    wanted = ", ".join(f"{key}={value}" for key, value in node_labels(pool).items())
    return failed(f"no node has all of the labels {wanted}", "Remove one of the labels, or set all of them on a node.")


def _no_affinity(_: Pool, nodes: NodeFilter) -> Found:
    count = number(len(nodes.labelled), "node")
    names = some([name_of(node) for node in nodes.labelled])
    seen = f"none of the {count} with the labels matches affinity.nodeAffinity: {names}"
    return failed(seen, "Change the required terms of affinity.nodeAffinity, or label nodes.")


def _tainted(pool: Pool, nodes: NodeFilter) -> Found:
    taints = Counter(taint_text(taint) for node in nodes.wanted for taint in _untolerated_taints(pool, node))
    seen = "; ".join(f"{taint} on {number(count, 'node')}" for taint, count in taints.most_common(3))
    # The node with the fewest such taints needs the smallest change.
    nearest = min((_untolerated_taints(pool, node) for node in nodes.wanted), key=len)
    return failed(
        f"all {number(len(nodes.wanted), 'matching node')} have taints that the pool does not tolerate: {seen}",
        f"Add to tolerations: {', '.join(_toleration(taint) for taint in nearest)}.",
    )


def _not_ready(pool: Pool, nodes: NodeFilter) -> Found:
    names = [f"{name_of(node)} ({_problem(pool, node)})" for node in nodes.tolerated]
    return failed(
        f"no matching node accepts pods: {some(names)}",
        "Make a node accept pods again (kubectl uncordon NODE), or find out why it is not ready (kubectl describe node NODE).",
    )


def _matches_affinity(pool: Pool, node: Json) -> bool:
    required = (pool.affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    fields = {"metadata.name": name_of(node)}
    return any(_term_holds(term, labels_of(node), fields) for term in required.get("nodeSelectorTerms") or ())


def _term_holds(term: Json, labels: dict[str, str], fields: dict[str, str]) -> bool:
    expressions, of_fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not of_fields:
        return False  # An empty term matches no node.
    return all(holds(each, labels) for each in expressions) and all(holds(each, fields) for each in of_fields)


def _untolerated_taints(pool: Pool, node: Json) -> list[Json]:
    return [taint for taint in _hard_taints(pool, node) if not taint["key"].startswith(_CONDITION_PREFIX)]


def _problem(pool: Pool, node: Json) -> str:
    if node["spec"].get("unschedulable"):
        return "cordoned"
    if taints := [taint for taint in _hard_taints(pool, node) if taint["key"].startswith(_CONDITION_PREFIX)]:
        return str(taints[0]["key"]).removeprefix(_CONDITION_PREFIX)
    conditions = {each["type"]: each["status"] for each in node.get("status", {}).get("conditions") or ()}
    return "" if conditions.get("Ready", "True") == "True" else "not ready"


def _hard_taints(pool: Pool, node: Json) -> list[Json]:
    taints = [taint for taint in node["spec"].get("taints") or () if taint["effect"] in ("NoSchedule", "NoExecute")]
    return [taint for taint in taints if not any(_tolerates(each, taint) for each in pool.tolerations)]


def _tolerates(toleration: Json, taint: Json) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or bool(toleration["key"] == taint["key"])
    return bool(toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""))


def taint_text(taint: Json) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _toleration(taint: Json) -> str:
    match = f'operator: Equal, value: "{taint["value"]}"' if taint.get("value") else "operator: Exists"
    return f"{{key: {taint['key']}, {match}, effect: {taint['effect']}}}"
