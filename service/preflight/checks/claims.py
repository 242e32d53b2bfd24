"""Claims that are there: the user's own, and the release's, of which Kubernetes lets hardly anything be changed."""

from collections.abc import Iterator

from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, doubtful, good, number, wrong
from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.demand import most_pods, told
from service.preflight.values.pool_values import Pool

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


def existing_claim(snapshot: Snapshot, pool: Pool) -> Json | None:
    return _claim(snapshot, pool.cache.existing_claim)


def claim_of_release(snapshot: Snapshot, pool: Pool) -> Json | None:
    """Of `cache.type: claim`, by the name that the chart gives it."""
    return _claim(snapshot, f"{snapshot.plan.fullname}-{pool.name}")


def judge_existing(snapshot: Snapshot, pool: Pool) -> Found:
    name = pool.cache.existing_claim
    if not name:
        return wrong("cache.type is existing, and cache.existingClaim is empty", "Set it to the PersistentVolumeClaim's name.")
    if (claim := existing_claim(snapshot, pool)) is None:
        fix = "Create it, or set cache.existingClaim to one that there is."
        return wrong(f"there is no PersistentVolumeClaim {snapshot.plan.namespace}/{name}", fix)
    return usable(claim, most_pods(pool))


def changes_of(snapshot: Snapshot, pool: Pool, claim: Json) -> Found | None:
    """What an upgrade would change of the release's claim, and Kubernetes refuse; else None."""
    if changes := list(_changes(snapshot, pool, claim)):
        fix = "A claim is immutable: keep them, or name a new pool, which gets a claim of its own."
        return wrong(f"the claim {claim['metadata']['name']} is there, with {' and '.join(changes)}", fix)
    return None


def is_bound(claim: Json) -> bool:
    return bool((claim.get("status") or {}).get("phase") == "Bound")


def _changes(snapshot: Snapshot, pool: Pool, claim: Json) -> Iterator[str]:
    cache, spec = pool.cache, claim["spec"]
    its_class = spec.get("storageClassName") or ""
    if cache.storage_class and cache.storage_class != its_class:
        yield f"storage class {its_class or 'none'} and not {cache.storage_class}"
    if (modes := spec.get("accessModes") or []) != [cache.access_mode]:
        yield f"access mode {', '.join(modes)} and not {cache.access_mode}"
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if asked is None:
        return
    has, wanted = quantity(asked), quantity(cache.size)
    if has > wanted:
        yield f"{told('storage', has)}, and cache.size is {cache.size}: volumes do not shrink"
    elif has < wanted and not _may_grow(snapshot, its_class):
        yield f"{asked}, and cache.size is {cache.size}: its class does not let volumes grow"


def _may_grow(snapshot: Snapshot, name: str) -> bool:
    found = next((each for each in snapshot.cluster.all(CLASSES) if each["metadata"]["name"] == name), {})
    return bool(found.get("allowVolumeExpansion"))


def usable(claim: Json, pods: int) -> Found:
    phase, modes = (claim.get("status") or {}).get("phase", "unknown"), claim["spec"].get("accessModes") or []
    has = f"{claim['metadata']['name']}: {phase}, {', '.join(modes)}"
    if not any(mode.startswith("ReadWrite") for mode in modes):
        return wrong(has, "Use a claim that can be written to: compile caches go there, too.")
    if pods > 1 and "ReadWriteMany" not in modes:
        return wrong(f"{has}; {number(pods, 'pod')} would share it", "Use a claim with ReadWriteMany, or cache.type: perReplica.")
    if phase == "Lost":
        return wrong(has, "Its volume is gone: make the claim anew.")
    if phase != "Bound":
        fix = "It gets its volume with the first pod, if its class waits for one; else kubectl describe pvc says why."
        return doubtful(has, fix)
    return good(has)


def _claim(snapshot: Snapshot, name: str) -> Json | None:
    return snapshot.cluster.get(f"/api/v1/{snapshot.namespaced}/persistentvolumeclaims/{name}")
