"""Which nodes a pool's pods may run on, and, where there are none, what keeps them away."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from service.preflight.cluster.labels import holds
from service.preflight.finding import Found, good, number, some, wrong
from service.preflight.kubernetes_types import Json
from service.preflight.values.demand import PRODUCT_LABEL, node_labels
from service.preflight.values.pool_values import Pool

# Kubernetes puts them onto nodes in trouble by itself.
_TROUBLE = "node.kubernetes.io/"


@dataclass(frozen=True)
class NodeFilter:
    """What is left of a cluster's nodes after each question."""

    all: list[Json]
    labelled: list[Json]
    wanted: list[Json]
    tolerated: list[Json]
    usable: list[Json]


def filter_nodes(pool: Pool, nodes: list[Json]) -> NodeFilter:
    labelled = [node for node in nodes if node_labels(pool).items() <= labels_of(node).items()]
    wanted = [node for node in labelled if _suits(pool, node)]
    tolerated = [node for node in wanted if not _strange_taints(pool, node)]
    return NodeFilter(nodes, labelled, wanted, tolerated, [node for node in tolerated if not _trouble(pool, node)])


def judge(pool: Pool, nodes: NodeFilter) -> Found:
    if nodes.usable:
        return good(_funnel(nodes))
    lost_at: list[tuple[list[Json], Callable[[Pool, NodeFilter], Found]]] = [
        (nodes.all, _no_nodes),
        (nodes.labelled, _no_label),
        (nodes.wanted, _no_affinity),
        (nodes.tolerated, _tainted),
    ]
    return next((explain(pool, nodes) for left, explain in lost_at if not left), None) or _in_trouble(pool, nodes)


def name_of(node: Json) -> str:
    return str(node["metadata"]["name"])


def labels_of(node: Json) -> dict[str, str]:
    return node["metadata"].get("labels") or {}


def _funnel(nodes: NodeFilter) -> str:
    steps = (
        ("have the labels", nodes.labelled, nodes.all),
        ("suit the affinity", nodes.wanted, nodes.labelled),
        ("have only tolerated taints", nodes.tolerated, nodes.wanted),
        ("are ready", nodes.usable, nodes.tolerated),
    )
    told = [f"{len(left)} {what}" for what, left, before in steps if len(left) < len(before)]
    whole = number(len(nodes.all), "node")
    names = some([name_of(node) for node in nodes.usable])
    return f"{', '.join([f'of {whole}', *told])}: {names}" if told else f"{whole}: {names}"


def _no_nodes(_: Pool, __: NodeFilter) -> Found:
    return wrong("the cluster has no nodes", "Add nodes.")


def _no_label(pool: Pool, nodes: NodeFilter) -> Found:
    """Of the labels the one that no node has; else they are on different nodes."""
    for key, value in node_labels(pool).items():
        there = Counter(labels_of(node)[key] for node in nodes.all if key in labels_of(node))
        if value in there:
            continue
        where = "gpu.product" if key == PRODUCT_LABEL and key not in pool.node_selector else f"nodeSelector {key}"
        if there:
            kinds = some([f"{each} ({number(count, 'node')})" for each, count in there.most_common()])
            return wrong(f"no node has the label {key}={value}", f"Set {where} to what nodes have: {kinds}. Or add such nodes.")
        fix = f"Label nodes: kubectl label node NAME {key}={value}. Or take {where} away."
        if key.startswith("nvidia.com/"):
            fix = f"Install GPU feature discovery (part of the NVIDIA GPU operator), which sets it, or leave {where} empty."
        return wrong(f"no node has the label {key}", fix)
    wanted = ", ".join(f"{key}={value}" for key, value in node_labels(pool).items())
    return wrong(f"each label is on some node, but none has all of {wanted}", "Take one away, or label a node with all.")


def _no_affinity(_: Pool, nodes: NodeFilter) -> Found:
    have = f"{number(len(nodes.labelled), 'node')} with the labels, none of which suits affinity.nodeAffinity"
    return wrong(f"{have}: {some([name_of(node) for node in nodes.labelled])}", "Change its required terms, or label nodes.")


def _tainted(pool: Pool, nodes: NodeFilter) -> Found:
    taints = Counter(taint_text(taint) for node in nodes.wanted for taint in _strange_taints(pool, node))
    seen = "; ".join(f"{taint} on {number(count, 'node')}" for taint, count in taints.most_common(3))
    # What the fewest taints keep away is the nearest.
    nearest = min((_strange_taints(pool, node) for node in nodes.wanted), key=len)
    return wrong(
        f"{number(len(nodes.wanted), 'node')} with the labels, all with taints that the pool does not tolerate: {seen}",
        f"Add to tolerations: {', '.join(_toleration(taint) for taint in nearest)}.",
    )


def _in_trouble(pool: Pool, nodes: NodeFilter) -> Found:
    told = [f"{name_of(node)} ({_trouble(pool, node)})" for node in nodes.tolerated]
    return wrong(
        f"no node that matches can take pods: {some(told)}",
        "Let it take pods again (kubectl uncordon NODE), or find out why it is not ready (kubectl describe node NODE).",
    )


def _suits(pool: Pool, node: Json) -> bool:
    required = (pool.affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    fields = {"metadata.name": name_of(node)}
    return any(_term_holds(term, labels_of(node), fields) for term in required.get("nodeSelectorTerms") or ())


def _term_holds(term: Json, labels: dict[str, str], fields: dict[str, str]) -> bool:
    expressions, of_fields = term.get("matchExpressions") or [], term.get("matchFields") or []
    if not expressions and not of_fields:
        return False  # An empty term means no node, not every one.
    return all(holds(each, labels) for each in expressions) and all(holds(each, fields) for each in of_fields)


def _strange_taints(pool: Pool, node: Json) -> list[Json]:
    return [taint for taint in _hard_taints(pool, node) if not taint["key"].startswith(_TROUBLE)]


def _trouble(pool: Pool, node: Json) -> str:
    if node["spec"].get("unschedulable"):
        return "cordoned"
    if taints := [taint for taint in _hard_taints(pool, node) if taint["key"].startswith(_TROUBLE)]:
        return str(taints[0]["key"]).removeprefix(_TROUBLE)
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
