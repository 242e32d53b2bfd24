"""Existing volume claims: the user's own claim, and the claim of an installed release.

Kubernetes allows almost no change to a claim.
"""

from collections.abc import Iterator

from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, number, passed, warned
from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.demand import format_quantity, most_pods
from service.preflight.values.pool_values import Pool

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


def existing_claim(snapshot: Snapshot, pool: Pool) -> Json | None:
    return _claim(snapshot, pool.cache.existing_claim)


def claim_of_release(snapshot: Snapshot, pool: Pool) -> Json | None:
    """Read the claim of `cache.type: claim`, by the name that the chart gives it."""
    return _claim(snapshot, f"{snapshot.plan.fullname}-{pool.name}")


def check_existing_claim(snapshot: Snapshot, pool: Pool) -> Found:
    name = pool.cache.existing_claim
    if not name:
        return failed(
            "cache.type is existing, and cache.existingClaim is empty", "Set it to the name of your PersistentVolumeClaim."
        )
    if (claim := existing_claim(snapshot, pool)) is None:
        fix = "Create it, or set cache.existingClaim to an existing claim."
        return failed(f"the PersistentVolumeClaim {snapshot.plan.namespace}/{name} does not exist", fix)
    return usable(claim, most_pods(pool))


def changes_of(snapshot: Snapshot, pool: Pool, claim: Json) -> Found | None:
    """Find changes to the release's claim that Kubernetes would refuse at an upgrade. None means there are none."""
    if changes := list(_changes(snapshot, pool, claim)):
        fix = "Keep the claim's values, because a claim is immutable. Or add a pool under a new name: it gets its own claim."
        return failed(f"the claim {claim['metadata']['name']} exists with {' and '.join(changes)}", fix)
    return None


def is_bound(claim: Json) -> bool:
    return bool((claim.get("status") or {}).get("phase") == "Bound")


def _changes(snapshot: Snapshot, pool: Pool, claim: Json) -> Iterator[str]:
    cache, spec = pool.cache, claim["spec"]
    its_class = spec.get("storageClassName") or ""
    if cache.storage_class and cache.storage_class != its_class:
        yield f"storage class {its_class or 'none'}, not {cache.storage_class}"
    if (modes := spec.get("accessModes") or []) != [cache.access_mode]:
        yield f"access mode {', '.join(modes)}, not {cache.access_mode}"
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if asked is None:
        return
    has, wanted = quantity(asked), quantity(cache.size)
    if has > wanted:
        yield f"size {format_quantity('storage', has)}, while cache.size is {cache.size}, and a volume cannot shrink"
    elif has < wanted and not _may_grow(snapshot, its_class):
        yield f"size {asked}, while cache.size is {cache.size}, and its storage class does not allow volume expansion"


def _may_grow(snapshot: Snapshot, name: str) -> bool:
    found = next((each for each in snapshot.cluster.all(CLASSES) if each["metadata"]["name"] == name), {})
    return bool(found.get("allowVolumeExpansion"))


def usable(claim: Json, pods: int) -> Found:
    """Check whether `pods` pods can share the claim and write to it."""
    phase, modes = (claim.get("status") or {}).get("phase", "unknown"), claim["spec"].get("accessModes") or []
    has = f"{claim['metadata']['name']}: {phase}, {', '.join(modes)}"
    if not any(mode.startswith("ReadWrite") for mode in modes):
        return failed(f"{has}, which is read-only", "Use a writable claim: the compile caches are written to it.")
    if pods > 1 and "ReadWriteMany" not in modes:
        return failed(
            f"{has}; {number(pods, 'pod')} would share it", "Use a ReadWriteMany claim, or set cache.type to perReplica."
        )
    if phase == "Lost":
        return failed(f"{has}: its volume no longer exists", "Create the claim again.")
    if phase != "Bound":
        fix = "Some storage classes bind the claim when the first pod starts. Otherwise find the cause with kubectl describe pvc."
        return warned(has, fix)
    return passed(has)


def _claim(snapshot: Snapshot, name: str) -> Json | None:
    return snapshot.cluster.get(f"/api/v1/{snapshot.namespaced}/persistentvolumeclaims/{name}")
