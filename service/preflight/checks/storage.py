"""The volume for weights and compile caches: storage class, access mode, claim, size."""

from collections.abc import Iterator
from decimal import Decimal

from service.preflight.checks.claims import (
    CLASSES,
    changes_of,
    check_existing_claim,
    claim_of_release,
    existing_claim,
    is_bound,
    usable,
)
from service.preflight.checks.definition import pool_check
from service.preflight.checks.memory import model_size
from service.preflight.cluster.client import LookupFailed
from service.preflight.cluster.model_size import GIB
from service.preflight.cluster.placement import allocatable
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, passed, some, warned
from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.demand import downloads, is_from_hub, limits_in, most_pods
from service.preflight.values.pool_values import Pool

_DISK = "ephemeral-storage"
_IS_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")

# Provisioners whose volumes only one node can mount, and the alternative of the same platform for several nodes.
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


@pool_check("pool.storage", "The cache volume can be provisioned")
def storage(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    match pool.cache.type:
        case "emptyDir":
            yield _node_disk(pool)
        case "existing":
            yield check_existing_claim(snapshot, pool)
        case "claim" if claim := claim_of_release(snapshot, pool):
            # When a claim is not bound, its storage class may be the cause.
            found = usable(claim, most_pods(pool)) if is_bound(claim) else _provisioned(snapshot, pool)
            yield changes_of(snapshot, pool, claim) or found
        case _:
            yield _provisioned(snapshot, pool)


@pool_check("pool.storage-size", "The cache volume holds the weights")
def storage_size(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if not downloads(pool) or not is_from_hub(pool):
        return
    try:
        weights = model_size(snapshot, pool).weights_bytes
    except LookupFailed:
        return  # `pool.gpu-memory` reports it.
    size = _size(snapshot, pool)
    if size is None:
        return
    seen = f"the weights take {weights / GIB:.1f} GiB, and the volume has {float(size) / GIB:.1f} GiB"
    fix = "Raise cache.size, or use a larger claim. Add space for the compile caches."
    yield passed(seen) if weights < size else failed(seen, fix)


def _size(snapshot: Snapshot, pool: Pool) -> Decimal | None:
    """Return the volume's size in bytes. None means unknown.

    An `emptyDir` is also bounded by the pod's limit and by the disk of the largest node.
    """
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
        return passed("the type is emptyDir, and the pods download nothing")
    return warned(
        f"the type is emptyDir, so each new pod downloads {pool.model.name} again before it serves",
        "Set cache.type to claim to share one volume. Then new replicas start sooner.",
    )


def _provisioned(snapshot: Snapshot, pool: Pool) -> Found:
    classes, name = snapshot.cluster.all(CLASSES), pool.cache.storage_class
    if name:
        chosen = next((each for each in classes if each["metadata"]["name"] == name), None)
    else:
        chosen = next((each for each in classes if _is_default(each)), None)
    names = some([each["metadata"]["name"] for each in classes]) or "none"
    if chosen is None and name:
        return failed(f"the StorageClass {name} does not exist", f"Set cache.storageClass to an existing class: {names}.")
    if chosen is None:
        seen = "cache.storageClass is empty, and no StorageClass is the default"
        return failed(seen, f"Set cache.storageClass to an existing class: {names}.")
    return _access_mode(pool, chosen)


def _access_mode(pool: Pool, chosen: Json) -> Found:
    name, provisioner = chosen["metadata"]["name"], str(chosen["provisioner"])
    mode = pool.cache.access_mode if pool.cache.type == "claim" else "ReadWriteOnce"
    has = f"{name} ({provisioner}), {mode}"
    if pool.cache.type == "claim" and mode != "ReadWriteMany" and most_pods(pool) > 1:
        fix = "Set cache.accessMode to ReadWriteMany, or cache.type to perReplica."
        return failed(f"{has}: up to {most_pods(pool)} pods would share the volume", fix)
    if mode != "ReadWriteMany" or any(known in provisioner for known in _MANY_NODES):
        return passed(has)
    instead = next((other for known, other in _ONE_NODE.items() if known in provisioner), None)
    if instead:
        alone = "cache.accessMode to ReadWriteOnce" if most_pods(pool) == 1 else "cache.type to perReplica"
        fix = f"Set cache.storageClass to a class of {instead}. Or set {alone}."
        return failed(f"{has}: only one node can mount its volumes, so the claim would never be bound", fix)
    return warned(
        f"{has}: preflight does not know whether the provisioner supports ReadWriteMany",
        "Look it up in the provisioner's documentation. If it does not, set cache.type to perReplica.",
    )


def _is_default(storage_class: Json) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return any(annotations.get(key) == "true" for key in _IS_DEFAULT)
