"""Whether the gateways are there, and whether their listeners take our routes."""

from collections.abc import Iterator
from typing import Any

from service.preflight.checks.apis import GATEWAY_GROUP
from service.preflight.checks.definition import cluster_check
from service.preflight.cluster.labels import selects
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, doubtful, good, number, some, wrong
from service.preflight.kubernetes_types import Json

_PROTOCOLS = ("HTTP", "HTTPS")
"""Of listeners that take an HTTPRoute."""


@cluster_check("gateway.parents", "The gateways are there, and take our routes")
def parents(snapshot: Snapshot) -> Iterator[Found]:
    gateway = snapshot.values.gateway
    if not gateway.enabled:
        return
    if not gateway.parent_refs:
        yield wrong("gateway.parentRefs is empty", "Name the Gateway: `- {name: my-gateway, namespace: gateways}`.")
    if not snapshot.cluster.serves(f"{GATEWAY_GROUP}/v1", "gateways"):
        return
    refs = [ref for ref in gateway.parent_refs if ref.get("kind", "Gateway") == "Gateway"]
    found = [_parent(snapshot, ref) for ref in refs]
    yield from (each for each, _ in found)
    listeners = [listener for _, listeners in found for listener in listeners]
    # Of a parent of another kind nothing is known here.
    if listeners and len(refs) == len(gateway.parent_refs):
        yield from _homeless(snapshot, listeners)


def _parent(snapshot: Snapshot, ref: Json) -> tuple[Found, list[Json]]:
    """What is to say of it, and its listeners that take our routes, if the hostname is one of theirs."""
    namespace, name = ref.get("namespace") or snapshot.plan.namespace, ref.get("name")
    found = snapshot.cluster.get(f"/apis/{GATEWAY_GROUP}/v1/namespaces/{namespace}/gateways/{name}")
    if found is None:
        return wrong(f"there is no Gateway {namespace}/{name}", "Create it, or correct gateway.parentRefs."), []
    listeners, section, port = found["spec"].get("listeners") or [], ref.get("sectionName"), ref.get("port")
    fitting = [each for each in listeners if section in (None, each["name"]) and port in (None, each.get("port"))]
    if not fitting:
        asked = f"{section or ''}{f' on port {port}' if port else ''}".strip() or "at all"
        names = some([str(each["name"]) for each in listeners])
        return wrong(f"{namespace}/{name} has no listener {asked}", f"Set sectionName to one that it has: {names}."), []
    taking = [each for each in fitting if _takes_namespace(snapshot, each, namespace)]
    if not taking:
        seen = f"no listener of {namespace}/{name} takes routes from the namespace {snapshot.plan.namespace}"
        fix = "Set its allowedRoutes.namespaces.from to All, or to a Selector that has our namespace's labels."
        return wrong(seen, fix), []
    if not (taking := [each for each in taking if _takes_http_routes(each)]):
        seen = f"no listener of {namespace}/{name} takes HTTPRoutes: {some([_kinds(each) for each in fitting])}"
        return wrong(seen, "Name one of protocol HTTP or HTTPS, whose allowedRoutes.kinds have HTTPRoute or nothing."), []
    conditions = {each["type"]: each["status"] for each in (found.get("status") or {}).get("conditions") or ()}
    if conditions.get("Programmed") == "False":
        fix = f"kubectl -n {namespace} describe gateway {name} says why."
        return doubtful(f"{namespace}/{name} is not programmed", fix), taking
    return good(f"{namespace}/{name}, {number(len(taking), 'listener')}"), taking


def _homeless(snapshot: Snapshot, listeners: list[Json]) -> Iterator[Found]:
    """Routes attach to each parent by themselves: one that takes the hostname is enough."""
    pools, splits = snapshot.plan.pools, snapshot.values.gateway.splits
    for hostname in [*(pool.hostname for pool in pools), *(split.hostname for split in splits)]:
        if hostname and not any(_meets(hostname, each.get("hostname") or "") for each in listeners):
            theirs = some(sorted({str(each["hostname"]) for each in listeners}))
            seen = f"no listener takes {hostname}; they are for {theirs}"
            yield wrong(seen, "Choose a hostname that one of them has, or give the Gateway a listener for it.")


def _meets(ours: str, theirs: str) -> bool:
    """`*.example.com` is everything below example.com, and not example.com itself; empty is everything."""
    ours, theirs = ours.lower(), theirs.lower()
    return not theirs or ours == theirs or (theirs.startswith("*.") and ours.endswith(theirs[1:]))


def _takes_http_routes(listener: Json) -> bool:
    if listener.get("protocol", "HTTP") not in _PROTOCOLS:
        return False
    kinds = (listener.get("allowedRoutes") or {}).get("kinds")
    return not kinds or any(
        kind.get("kind") == "HTTPRoute" and (kind.get("group") or GATEWAY_GROUP) == GATEWAY_GROUP for kind in kinds
    )


def _kinds(listener: Json) -> str:
    kinds = [str(kind.get("kind")) for kind in (listener.get("allowedRoutes") or {}).get("kinds") or ()]
    return f"{listener['name']} is of {listener.get('protocol', 'HTTP')}{f', for {some(kinds)}' if kinds else ''}"


def _takes_namespace(snapshot: Snapshot, listener: Json, namespace: str) -> bool:
    allowed: dict[str, Any] = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    match allowed.get("from", "Same"):
        case "All":
            return True
        case "Selector":
            labels = {**snapshot.namespace_labels, "kubernetes.io/metadata.name": snapshot.plan.namespace}
            return selects(allowed.get("selector"), labels)
        case _:
            return namespace == snapshot.plan.namespace
