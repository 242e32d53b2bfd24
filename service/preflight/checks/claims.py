"""Claims that are there: the user's own, and the release's, of which Kubernetes lets hardly anything be changed."""

from collections.abc import Iterator

from service.preflight.cluster.client import Json, quantity
from service.preflight.cluster.snapshot import Survey
from service.preflight.finding import Found, doubtful, good, number, wrong
from service.preflight.values.demand import most_pods, told
from service.preflight.values.pool_values import Pool

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"


def existing_claim(survey: Survey, pool: Pool) -> Json | None:
    return _claim(survey, pool.cache.existing_claim)


def claim_of_release(survey: Survey, pool: Pool) -> Json | None:
    """Of `cache.type: claim`, by the name that the chart gives it."""
    return _claim(survey, f"{survey.plan.fullname}-{pool.name}")


def judge_existing(survey: Survey, pool: Pool) -> Found:
    name = pool.cache.existing_claim
    if not name:
        return wrong("cache.type is existing, and cache.existingClaim is empty", "Set it to the PersistentVolumeClaim's name.")
    if (claim := existing_claim(survey, pool)) is None:
        fix = "Create it, or set cache.existingClaim to one that there is."
        return wrong(f"there is no PersistentVolumeClaim {survey.plan.namespace}/{name}", fix)
    return usable(claim, most_pods(pool))


def changes_of(survey: Survey, pool: Pool, claim: Json) -> Found | None:
    """What an upgrade would change of the release's claim, and Kubernetes refuse; else None."""
    if changes := list(_changes(survey, pool, claim)):
        fix = "A claim is immutable: keep them, or name a new pool, which gets a claim of its own."
        return wrong(f"the claim {claim['metadata']['name']} is there, with {' and '.join(changes)}", fix)
    return None


def is_bound(claim: Json) -> bool:
    return bool((claim.get("status") or {}).get("phase") == "Bound")


def _changes(survey: Survey, pool: Pool, claim: Json) -> Iterator[str]:
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
    elif has < wanted and not _may_grow(survey, its_class):
        yield f"{asked}, and cache.size is {cache.size}: its class does not let volumes grow"


def _may_grow(survey: Survey, name: str) -> bool:
    found = next((each for each in survey.cluster.all(CLASSES) if each["metadata"]["name"] == name), {})
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


def _claim(survey: Survey, name: str) -> Json | None:
    return survey.cluster.get(f"/api/v1/{survey.namespaced}/persistentvolumeclaims/{name}")
