"""The cluster's version, the namespace, and what it lets run."""

import re
from collections.abc import Iterator

from service.preflight.checks.definition import cluster_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, doubtful, good, wrong

OLDEST = (1, 31)
_ENFORCE = "pod-security.kubernetes.io/enforce"


@cluster_check("cluster.version", "Kubernetes is new enough")
def version(snapshot: Snapshot) -> Iterator[Found]:
    told = str((snapshot.cluster.get("/version") or {}).get("gitVersion", ""))
    found = re.match(r"v(\d+)\.(\d+)", told)
    if found and (int(found[1]), int(found[2])) >= OLDEST:
        yield good(told)
    else:
        yield doubtful(
            told or "the version is not told", f"Upgrade to {OLDEST[0]}.{OLDEST[1]} or newer: the chart is tested from there."
        )


@cluster_check("namespace.exists", "The namespace is there")
def exists(snapshot: Snapshot) -> Iterator[Found]:
    name = snapshot.plan.namespace
    if snapshot.namespace is None:
        yield wrong(f"there is no namespace {name}", f"kubectl create namespace {name}. Or give another with -n.")
    else:
        yield good(name)


@cluster_check("namespace.pod-security", "Pod Security lets the pods run")
def pod_security(snapshot: Snapshot) -> Iterator[Found]:
    """Ours keep to `restricted`, the strictest."""
    if snapshot.namespace is None:
        return
    level = snapshot.namespace_labels.get(_ENFORCE)
    if level == "privileged":
        fix = f"kubectl label namespace {snapshot.plan.namespace} {_ENFORCE}=restricted --overwrite. Our pods keep to it."
        yield doubtful("privileged: pods may do anything to their node", fix)
    else:
        yield good(f"{level or 'no level is enforced'}; our pods keep to restricted")
