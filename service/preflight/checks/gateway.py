"""The Gateways of `gateway.parentRefs`, and whether their listeners accept the chart's routes."""

from collections.abc import Iterator
from typing import Any

from service.preflight.checks.apis import GATEWAY_GROUP
from service.preflight.checks.definition import cluster_check
from service.preflight.cluster.labels import selects
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, number, passed, some, warned
from service.preflight.kubernetes_types import Json

_PROTOCOLS = ("HTTP", "HTTPS")
"""Protocols of listeners that accept an HTTPRoute."""


@cluster_check("gateway.parents", "The Gateways exist and accept the routes")
def parents(snapshot: Snapshot) -> Iterator[Found]:
    gateway = snapshot.values.gateway
    if not gateway.enabled:
        return
    if not gateway.parent_refs:
        yield failed("gateway.parentRefs is empty", "Set it to your Gateway, e.g. `- {name: my-gateway, namespace: gateways}`.")
    if not snapshot.cluster.serves(f"{GATEWAY_GROUP}/v1", "gateways"):
        return
    refs = [ref for ref in gateway.parent_refs if ref.get("kind", "Gateway") == "Gateway"]
    found = [_parent(snapshot, ref) for ref in refs]
    yield from (each for each, _ in found)
    listeners = [listener for _, listeners in found for listener in listeners]
    # A parent of another kind may accept the hostname. Preflight does not know such kinds.
    if listeners and len(refs) == len(gateway.parent_refs):
        yield from _unmatched_hostnames(snapshot, listeners)


def _parent(snapshot: Snapshot, ref: Json) -> tuple[Found, list[Json]]:
    """Return the result for one parent, and its listeners that accept our routes for a matching hostname."""
    namespace, name = ref.get("namespace") or snapshot.plan.namespace, ref.get("name")
    found = snapshot.cluster.get(f"/apis/{GATEWAY_GROUP}/v1/namespaces/{namespace}/gateways/{name}")
    if found is None:
        return failed(f"the Gateway {namespace}/{name} does not exist", "Create it, or correct gateway.parentRefs."), []
    listeners, section, port = found["spec"].get("listeners") or [], ref.get("sectionName"), ref.get("port")
    fitting = [each for each in listeners if section in (None, each["name"]) and port in (None, each.get("port"))]
    if not fitting:
        wanted = f" {section}" if section else ""
        wanted += f" on port {port}" if port else ""
        names = some([str(each["name"]) for each in listeners])
        return failed(f"{namespace}/{name} has no listener{wanted}", f"Set sectionName to one of its listeners: {names}."), []
    taking = [each for each in fitting if _allows_namespace(snapshot, each, namespace)]
    if not taking:
        seen = f"no listener of {namespace}/{name} accepts routes from the namespace {snapshot.plan.namespace}"
        fix = "Set the listener's allowedRoutes.namespaces.from to All, or to a Selector that matches the namespace's labels."
        return failed(seen, fix), []
    if not (taking := [each for each in taking if _allows_http_routes(each)]):
        seen = f"no listener of {namespace}/{name} accepts HTTPRoutes: {some([_kinds(each) for each in fitting])}"
        fix = "Choose a listener of protocol HTTP or HTTPS. Its allowedRoutes.kinds must be empty or contain HTTPRoute."
        return failed(seen, fix), []
    conditions = {each["type"]: each["status"] for each in (found.get("status") or {}).get("conditions") or ()}
    if conditions.get("Programmed") == "False":
        fix = f"Find the cause: kubectl -n {namespace} describe gateway {name}."
        return warned(f"{namespace}/{name} is not programmed", fix), taking
    return passed(f"{namespace}/{name}, {number(len(taking), 'listener')}"), taking


def _unmatched_hostnames(snapshot: Snapshot, listeners: list[Json]) -> Iterator[Found]:
    """Find hostnames that no listener accepts. A route attaches to each parent separately, so one listener is enough."""
    pools, splits = snapshot.plan.pools, snapshot.values.gateway.splits
    for hostname in [*(pool.hostname for pool in pools), *(split.hostname for split in splits)]:
        if hostname and not any(_hostname_matches(hostname, each.get("hostname") or "") for each in listeners):
            theirs = some(sorted({str(each["hostname"]) for each in listeners}))
            seen = f"no listener accepts the hostname {hostname}; the listeners accept {theirs}"
            yield failed(seen, "Choose a hostname that a listener accepts, or add a listener for it to the Gateway.")


def _hostname_matches(ours: str, theirs: str) -> bool:
    """Match a hostname with a listener's. `*.example.com` matches names below example.com only; empty matches every name."""
    ours, theirs = ours.lower(), theirs.lower()
    return not theirs or ours == theirs or (theirs.startswith("*.") and ours.endswith(theirs[1:]))


def _allows_http_routes(listener: Json) -> bool:
    if listener.get("protocol", "HTTP") not in _PROTOCOLS:
        return False
    kinds = (listener.get("allowedRoutes") or {}).get("kinds")
    return not kinds or any(
        kind.get("kind") == "HTTPRoute" and (kind.get("group") or GATEWAY_GROUP) == GATEWAY_GROUP for kind in kinds
    )


def _kinds(listener: Json) -> str:
    kinds = [str(kind.get("kind")) for kind in (listener.get("allowedRoutes") or {}).get("kinds") or ()]
    return f"{listener['name']} has protocol {listener.get('protocol', 'HTTP')}{f', kinds {some(kinds)}' if kinds else ''}"


def _allows_namespace(snapshot: Snapshot, listener: Json, namespace: str) -> bool:
    allowed: dict[str, Any] = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    match allowed.get("from", "Same"):
        case "All":
            return True
        case "Selector":
            labels = {**snapshot.namespace_labels, "kubernetes.io/metadata.name": snapshot.plan.namespace}
            return selects(allowed.get("selector"), labels)
        case _:
            return namespace == snapshot.plan.namespace
