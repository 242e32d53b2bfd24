"""Volumes with each kind of problem."""

import re

import pytest

from tests.preflight.looking import Looker, finding, findings_text, not_passed
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
        "StorageClass none .* -> .*cache.storageClass.*: disk, shared",
    ),
    ({"storageClass": "disk"}, {}, "fail", r"Amazon EFS \(efs\.csi\.aws\.com\) or FSx\b.*cache\.type to perReplica"),
    ({"storageClass": "disk"}, ALONE, "fail", "cache.accessMode to ReadWriteOnce"),
    ({"storageClass": ""}, {}, "fail", r"disk \(ebs\.csi\.aws\.com\), ReadWriteMany\b.*one node"),
    ({"accessMode": "ReadWriteOnce"}, {}, "fail", "3 pods .* -> Set cache.accessMode to ReadWriteMany"),
    ({"storageClass": "unknown"}, {}, "warn", "unknown.example.com.*ReadWriteMany"),
    ({"type": "perReplica", "storageClass": "disk"}, {}, "pass", r"disk \(ebs\.csi\.aws\.com\), ReadWriteOnce"),
    ({"storageClass": "disk", "accessMode": "ReadWriteOnce"}, ALONE, "pass", "ReadWriteOnce"),
    ({"type": "emptyDir"}, {}, "warn", "Qwen/Qwen3-8B .* -> Set cache.type to claim"),
    ({"type": "emptyDir"}, {"model": {"name": "embedded"}}, "pass", "emptyDir.*nothing"),
    ({"type": "existing"}, {}, "fail", "cache.existingClaim .* -> .*PersistentVolumeClaim"),
    ({"type": "existing", "existingClaim": "no"}, {}, "fail", "PersistentVolumeClaim calls/no .* -> Create it"),
]


@pytest.mark.parametrize(("cache", "over", "outcome", "words"), VOLUMES)
def test_each_kind_of_volume(cache: Json, over: Json, outcome: str, words: str, looked: Looker) -> None:
    objects = right() | dict([storage_class("unknown", "unknown.example.com")])
    found = finding(looked(objects, pool(cache=cache, **over)), "pool.storage")
    assert found.outcome == outcome, found
    assert re.search(words, f"{found.seen} -> {found.fix}")


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
    assert not_passed(report) == {"pool.storage": "fail"}, findings_text(report)
    assert re.search(f"cache.storageClass .*{instead}", finding(report, "pool.storage").fix or "")


def test_no_default_class(looked: Looker) -> None:
    objects = right()
    objects[(CLASSES, None, "disk")]["metadata"]["annotations"] = {}
    report = looked(objects, pool(cache={"type": "perReplica", "storageClass": ""}))
    assert not_passed(report) == {"pool.storage": "fail"}, findings_text(report)
    assert "default" in finding(report, "pool.storage").seen


@pytest.mark.parametrize(
    ("given", "outcome", "words"),
    [
        (claim("ReadWriteMany"), "pass", "models: Bound, ReadWriteMany"),
        (claim("ReadWriteOnce"), "fail", "3 pods"),
        (claim("ReadOnlyMany"), "fail", "writable"),
        (claim("ReadWriteMany", phase="Lost"), "fail", "Lost"),
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
    assert not_passed(report) == {"pool.storage-size": "fail"}, findings_text(report)


def test_one_replica_may_have_a_claim_for_one_node(looked: Looker) -> None:
    objects = right() | {(CLAIMS, "calls", "models"): claim("ReadWriteOnce")}
    report = looked(objects, existing(replicas=1, rollout={"spareGpus": False}))
    assert not_passed(report) == {"pool.rollout": "warn"}, findings_text(report)


def of_release(**spec: object) -> Json:
    size = {"requests": {"storage": "200Gi"}}
    whole: Json = {"accessModes": ["ReadWriteMany"], "storageClassName": "shared-files", "resources": size, **spec}
    return {"metadata": {"name": "firstword-default", "namespace": "calls"}, "spec": whole, "status": {"phase": "Bound"}}


OURS = (CLAIMS, "calls", "firstword-default")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"storageClassName": "nfs"}, "nfs, not shared-files"),
        ({"accessModes": ["ReadWriteOnce"]}, "ReadWriteOnce, not ReadWriteMany"),
        ({"resources": {"requests": {"storage": "300Gi"}}}, "300Gi, .*cache.size is 200Gi, .*shrink"),
        ({"resources": {"requests": {"storage": "100Gi"}}}, "100Gi, .*cache.size is 200Gi, .*expansion"),
    ],
)
def test_a_claim_of_the_release_cannot_be_changed(spec: Json, words: str, looked: Looker) -> None:
    report = looked(right() | {OURS: of_release(**spec)}, values())
    assert not_passed(report) == {"pool.storage": "fail"}, findings_text(report)
    found = finding(report, "pool.storage")
    assert re.search(words, found.seen)
    assert "immutable" in (found.fix or "")


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
    assert (found.outcome, "bound" in found.seen) == ("fail", True)


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
    assert found.outcome == "fail"
    assert "15.3 GiB" in found.seen and "10.0 GiB" in found.seen
