"""Where weights and compile caches shall live: storage class, access mode, claim, size."""

from collections.abc import Iterator
from decimal import Decimal

from service.preflight.checks.claims import (
    CLASSES,
    changes_of,
    claim_of_release,
    existing_claim,
    is_bound,
    judge_existing,
    usable,
)
from service.preflight.checks.definition import pool_check
from service.preflight.checks.memory import model_size
from service.preflight.cluster.client import CouldNotLook
from service.preflight.cluster.model_size import GIB
from service.preflight.cluster.placement import allocatable
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, doubtful, good, some, wrong
from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.demand import downloads, is_from_hub, limits_in, most_pods
from service.preflight.values.pool_values import Pool

_DISK = "ephemeral-storage"
_IS_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")

# Provisioners whose volumes only one node mounts, and what does it for several there.
_ONE_NODE = {
    "ebs.csi.aws.com": "Amazon EFS (efs.csi.aws.com) or FSx",
    "kubernetes.io/aws-ebs": "Amazon EFS (efs.csi.aws.com) or FSx",
    "pd.csi.storage.gke.io": "Filestore (filestore.csi.storage.gke.io)",
    "kubernetes.io/gce-pd": "Filestore (filestore.csi.storage.gke.io)",
    "disk.csi.azure.com": "Azure Files (file.csi.azure.com, with the premium SKU)",
    "kubernetes.io/azure-disk": "Azure Files (file.csi.azure.com, with the premium SKU)",
    "cinder.csi.openstack.org": "Manila (manila.csi.openstack.org)",
    "kubernetes.io/cinder": "Manila (manila.csi.openstack.org)",
    "rbd.csi.ceph.com": "CephFS (cephfs.csi.ceph.com)",
    "rancher.io/local-path": "NFS (nfs.csi.k8s.io)",
    "topolvm.io": "NFS (nfs.csi.k8s.io)",
    "openebs.io/local": "NFS (nfs.csi.k8s.io)",
    "local.csi.openebs.io": "NFS (nfs.csi.k8s.io)",
    "dobs.csi.digitalocean.com": "NFS (nfs.csi.k8s.io)",
    "csi.hetzner.cloud": "NFS (nfs.csi.k8s.io)",
    "block.csi.vultr.com": "NFS (nfs.csi.k8s.io)",
    "blockvolume.csi.oraclecloud.com": "OCI File Storage (fss.csi.oraclecloud.com)",
}
_MANY_NODES = (
    "efs.csi.aws.com",
    "fsx.csi.aws.com",
    "filestore.csi.storage.gke.io",
    "parallelstore.csi.storage.gke.io",
    "lustre.csi.storage.gke.io",
    "file.csi.azure.com",
    "azurelustre.csi.azure.com",
    "manila.csi.openstack.org",
    "cephfs.csi.ceph.com",
    "nfs.csi.k8s.io",
    "nfs-subdir-external-provisioner",
    "driver.longhorn.io",
    "pxd.portworx.com",
    "csi.weka.io",
    "fss.csi.oraclecloud.com",
)


@pool_check("pool.storage", "The cache volume can be had")
def storage(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    match pool.cache.type:
        case "emptyDir":
            yield _node_disk(pool)
        case "existing":
            yield judge_existing(snapshot, pool)
        case "claim" if claim := claim_of_release(snapshot, pool):
            # Of a claim that waits for its volume the class may be the reason.
            judged = usable(claim, most_pods(pool)) if is_bound(claim) else _provisioned(snapshot, pool)
            yield changes_of(snapshot, pool, claim) or judged
        case _:
            yield _provisioned(snapshot, pool)


@pool_check("pool.storage-size", "The cache volume holds the weights")
def storage_size(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if not downloads(pool) or not is_from_hub(pool):
        return
    try:
        weights = model_size(snapshot, pool).weights_bytes
    except CouldNotLook:
        return  # Told where GPU memory is looked at.
    size = _size(snapshot, pool)
    if size is None:
        return
    told = f"the weights take {weights / GIB:.1f} GiB, the volume holds {float(size) / GIB:.1f}"
    yield good(told) if weights < size else wrong(told, "Raise cache.size (or the claim's), with room for compile caches.")


def _size(snapshot: Snapshot, pool: Pool) -> Decimal | None:
    """What the volume holds: of `emptyDir` no more than what the pod may take, and what the largest node has."""
    size = quantity(pool.cache.size)
    if pool.cache.type == "existing":
        capacity = (((existing_claim(snapshot, pool) or {}).get("status") or {}).get("capacity") or {}).get("storage")
        return None if capacity is None else quantity(capacity)
    if pool.cache.type == "emptyDir":
        disks = [allocatable(node)[_DISK] for node in snapshot.usable(pool) if _DISK in allocatable(node)]
        limit = limits_in(pool.resources).get(_DISK, size)
        return min(size, limit, max(disks, default=size))
    return size


def _node_disk(pool: Pool) -> Found:
    if not downloads(pool):
        return good("emptyDir; nothing is downloaded")
    return doubtful(
        f"emptyDir: each new pod downloads {pool.model.name} again before it serves",
        "Set cache.type to claim (one volume for all) or perReplica, and rollouts and new replicas start sooner.",
    )


def _provisioned(snapshot: Snapshot, pool: Pool) -> Found:
    classes, name = snapshot.cluster.all(CLASSES), pool.cache.storage_class
    if name:
        chosen = next((each for each in classes if each["metadata"]["name"] == name), None)
    else:
        chosen = next((each for each in classes if _is_default(each)), None)
    names = some([each["metadata"]["name"] for each in classes]) or "none"
    if chosen is None and name:
        return wrong(f"there is no StorageClass {name}", f"Set cache.storageClass to one that there is: {names}.")
    if chosen is None:
        return wrong("no StorageClass is the default", f"Set cache.storageClass to one that there is: {names}.")
    return _access_mode(pool, chosen)


def _access_mode(pool: Pool, chosen: Json) -> Found:
    name, provisioner = chosen["metadata"]["name"], str(chosen["provisioner"])
    mode = pool.cache.access_mode if pool.cache.type == "claim" else "ReadWriteOnce"
    has = f"{name} ({provisioner}), {mode}"
    if pool.cache.type == "claim" and mode != "ReadWriteMany" and most_pods(pool) > 1:
        fix = "Set cache.accessMode to ReadWriteMany, or cache.type to perReplica."
        return wrong(f"{has}: {most_pods(pool)} pods would share the volume", fix)
    if mode != "ReadWriteMany" or any(known in provisioner for known in _MANY_NODES):
        return good(has)
    instead = next((other for known, other in _ONE_NODE.items() if known in provisioner), None)
    if instead:
        alone = "cache.accessMode to ReadWriteOnce" if most_pods(pool) == 1 else "cache.type to perReplica"
        fix = f"Set cache.storageClass to one of {instead}, or {alone}."
        return wrong(f"{has}: its volumes are mounted by one node only, and the claim would wait for ever", fix)
    return doubtful(
        f"{has}: whether it has ReadWriteMany is not known here", "Look it up; if it has not, cache.type: perReplica."
    )


def _is_default(storage_class: Json) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return any(annotations.get(key) == "true" for key in _IS_DEFAULT)
