"""Volumes, wrong in each way."""

import pytest

from tests.preflight.looking import Looker, finding, not_passed, told
from tests.preflight.right_cluster import CLAIMS, CLASSES, NODES, Json, pool, right, storage_class, values


def claim(*modes: str, phase: str = "Bound", size: str = "200Gi") -> Json:
    status = {"phase": phase, "capacity": {"storage": size}}
    return {"metadata": {"name": "models", "namespace": "calls"}, "spec": {"accessModes": list(modes)}, "status": status}


def existing(**over: object) -> Json:
    return pool(cache={"type": "existing", "existingClaim": "models"}, **over)


ALONE: Json = {"replicas": 1, "rollout": {"spareGpus": False}}
VOLUMES: list[tuple[Json, Json, str, str]] = [
    (
        {"storageClass": "none"},
        {},
        "fail",
        "there is no StorageClass none -> Set cache.storageClass to one that there is: disk, shared",
    ),
    ({"storageClass": "disk"}, {}, "fail", "to one of Amazon EFS (efs.csi.aws.com) or FSx, or cache.type to perReplica"),
    ({"storageClass": "disk"}, ALONE, "fail", "or cache.accessMode to ReadWriteOnce"),
    ({"storageClass": ""}, {}, "fail", "disk (ebs.csi.aws.com), ReadWriteMany: its volumes are mounted by one node only"),
    ({"accessMode": "ReadWriteOnce"}, {}, "fail", "3 pods would share the volume -> Set cache.accessMode to ReadWriteMany"),
    ({"storageClass": "odd"}, {}, "warn", "whether it has ReadWriteMany is not known here"),
    ({"type": "perReplica", "storageClass": "disk"}, {}, "pass", "disk (ebs.csi.aws.com), ReadWriteOnce"),
    ({"storageClass": "disk", "accessMode": "ReadWriteOnce"}, ALONE, "pass", "ReadWriteOnce"),
    ({"type": "emptyDir"}, {}, "warn", "each new pod downloads Qwen/Qwen3-8B again before it serves -> Set cache.type to claim"),
    ({"type": "emptyDir"}, {"model": {"name": "embedded"}}, "pass", "nothing is downloaded"),
    ({"type": "existing"}, {}, "fail", "cache.existingClaim is empty -> Set it to the PersistentVolumeClaim's name"),
    ({"type": "existing", "existingClaim": "no"}, {}, "fail", "no PersistentVolumeClaim calls/no -> Create it"),
]


@pytest.mark.parametrize(("cache", "over", "outcome", "words"), VOLUMES)
def test_each_kind_of_volume(cache: Json, over: Json, outcome: str, words: str, looked: Looker) -> None:
    objects = right() | dict([storage_class("odd", "odd.example.com")])
    found = finding(looked(objects, pool(cache=cache, **over)), "pool.storage")
    assert found.outcome == outcome, found
    assert words in f"{found.seen} -> {found.fix}"


@pytest.mark.parametrize(
    ("provisioner", "instead"),
    [
        ("pd.csi.storage.gke.io", "Filestore"),
        ("disk.csi.azure.com", "Azure Files"),
        ("cinder.csi.openstack.org", "Manila"),
        ("rancher.io/local-path", "NFS"),
        ("rook-ceph.rbd.csi.ceph.com", "CephFS"),
    ],
)
def test_provisioners_whose_volumes_one_node_mounts(provisioner: str, instead: str, looked: Looker) -> None:
    objects = right() | dict([storage_class("shared-files", provisioner)])
    report = looked(objects, values())
    assert not_passed(report) == {"pool.storage": "fail"}, told(report)
    assert f"Set cache.storageClass to one of {instead}" in (finding(report, "pool.storage").fix or "")


def test_no_default_class(looked: Looker) -> None:
    objects = right()
    objects[(CLASSES, None, "disk")]["metadata"]["annotations"] = {}
    report = looked(objects, pool(cache={"type": "perReplica", "storageClass": ""}))
    assert not_passed(report) == {"pool.storage": "fail"}, told(report)
    assert finding(report, "pool.storage").seen == "no StorageClass is the default"


@pytest.mark.parametrize(
    ("given", "outcome", "words"),
    [
        (claim("ReadWriteMany"), "pass", "models: Bound, ReadWriteMany"),
        (claim("ReadWriteOnce"), "fail", "3 pods would share it"),
        (claim("ReadOnlyMany"), "fail", "can be written to"),
        (claim("ReadWriteMany", phase="Lost"), "fail", "Its volume is gone"),
        (claim("ReadWriteMany", phase="Pending"), "warn", "kubectl describe pvc"),
    ],
)
def test_a_claim_of_yours(given: Json, outcome: str, words: str, looked: Looker) -> None:
    found = finding(looked(right() | {(CLAIMS, "calls", "models"): given}, existing()), "pool.storage")
    assert found.outcome == outcome
    assert words in f"{found.seen} {found.fix}"


def test_a_claim_of_yours_that_is_too_small(looked: Looker) -> None:
    objects = right() | {(CLAIMS, "calls", "models"): claim("ReadWriteMany", size="10Gi")}
    report = looked(objects, existing())
    assert not_passed(report) == {"pool.storage-size": "fail"}, told(report)


def test_one_replica_may_have_a_claim_for_one_node(looked: Looker) -> None:
    objects = right() | {(CLAIMS, "calls", "models"): claim("ReadWriteOnce")}
    report = looked(objects, existing(replicas=1, rollout={"spareGpus": False}))
    assert not_passed(report) == {"pool.rollout": "warn"}, told(report)


def of_release(**spec: object) -> Json:
    size = {"requests": {"storage": "200Gi"}}
    whole: Json = {"accessModes": ["ReadWriteMany"], "storageClassName": "shared-files", "resources": size, **spec}
    return {"metadata": {"name": "firstword-default", "namespace": "calls"}, "spec": whole, "status": {"phase": "Bound"}}


OURS = (CLAIMS, "calls", "firstword-default")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"storageClassName": "nfs"}, "with storage class nfs and not shared-files"),
        ({"accessModes": ["ReadWriteOnce"]}, "with access mode ReadWriteOnce and not ReadWriteMany"),
        ({"resources": {"requests": {"storage": "300Gi"}}}, "with 300Gi, and cache.size is 200Gi: volumes do not shrink"),
        ({"resources": {"requests": {"storage": "100Gi"}}}, "with 100Gi, and cache.size is 200Gi: its class does not let"),
    ],
)
def test_a_claim_of_the_release_cannot_be_changed(spec: Json, words: str, looked: Looker) -> None:
    report = looked(right() | {OURS: of_release(**spec)}, values())
    assert not_passed(report) == {"pool.storage": "fail"}, told(report)
    found = finding(report, "pool.storage")
    assert words in found.seen
    assert (found.fix or "").startswith("A claim is immutable: keep them, or name a new pool")


def test_a_claim_of_the_release_as_the_values_have_it(looked: Looker) -> None:
    assert not_passed(looked(right() | {OURS: of_release()}, values())) == {}
    by_default = of_release(storageClassName="efs")
    assert not_passed(looked(right() | {OURS: by_default}, pool(cache={"storageClass": ""}))) == {}
    objects = right() | {OURS: of_release(resources={"requests": {"storage": "100Gi"}})}
    objects[(CLASSES, None, "shared-files")]["allowVolumeExpansion"] = True
    assert not_passed(looked(objects, values())) == {}


def test_a_claim_that_waits_for_ever_is_not_called_good(looked: Looker) -> None:
    waiting = of_release(storageClassName="disk") | {"status": {"phase": "Pending"}}
    found = finding(looked(right() | {OURS: waiting}, pool(cache={"storageClass": "disk"})), "pool.storage")
    assert "the claim would wait for ever" in found.seen


@pytest.mark.parametrize(
    ("disk", "over"),
    [
        ("900Gi", {"cache": {"type": "emptyDir", "size": "10Gi"}}),
        ("10Gi", {"cache": {"type": "emptyDir"}, "resources": {"requests": {"ephemeral-storage": "1Gi"}}}),
        ("900Gi", {"cache": {"type": "emptyDir"}, "resources": {"limits": {"memory": "24Gi", "ephemeral-storage": "10Gi"}}}),
    ],
)
def test_weights_that_a_node_does_not_hold(disk: str, over: Json, looked: Looker) -> None:
    objects = right()
    for name in ("gpu-1", "gpu-2"):
        objects[(NODES, None, name)]["status"]["allocatable"]["ephemeral-storage"] = disk
    found = finding(looked(objects, pool(**over)), "pool.storage-size")
    assert (found.outcome, found.seen) == ("fail", "the weights take 15.3 GiB, the volume holds 10.0")
