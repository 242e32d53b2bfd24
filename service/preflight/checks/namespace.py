"""The cluster's version, the namespace, and its Pod Security level."""

import re
from collections.abc import Iterator

from service.preflight.checks.definition import cluster_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, passed, warned

OLDEST = (1, 31)
_ENFORCE = "pod-security.kubernetes.io/enforce"


@cluster_check("cluster.version", "Kubernetes is new enough")
def version(snapshot: Snapshot) -> Iterator[Found]:
    text = str((snapshot.cluster.get("/version") or {}).get("gitVersion", ""))
    found = re.match(r"v(\d+)\.(\d+)", text)
    if found and (int(found[1]), int(found[2])) >= OLDEST:
        yield passed(text)
    else:
        yield warned(
            text or "the cluster does not report its version",
            f"Upgrade to {OLDEST[0]}.{OLDEST[1]} or newer. The chart is not tested with older versions.",
        )


@cluster_check("namespace.exists", "The namespace exists")
def exists(snapshot: Snapshot) -> Iterator[Found]:
    name = snapshot.plan.namespace
    if snapshot.namespace is None:
        yield failed(
            f"the namespace {name} does not exist", f"Create it: kubectl create namespace {name}. Or name another one with -n."
        )
    else:
        yield passed(name)


@cluster_check("namespace.pod-security", "Pod Security admits the pods")
def pod_security(snapshot: Snapshot) -> Iterator[Found]:
    """Check the enforced level. The chart's pods comply with `restricted`, the strictest level."""
    if snapshot.namespace is None:
        return
    level = snapshot.namespace_labels.get(_ENFORCE)
    if level == "privileged":
        command = f"kubectl label namespace {snapshot.plan.namespace} {_ENFORCE}=restricted --overwrite"
        fix = f"Enforce restricted, which the chart's pods comply with: {command}."
        yield warned("the level is privileged, so a pod has full access to its node", fix)
    else:
        enforced = f"level {level} is enforced" if level else "no level is enforced"
        yield passed(f"{enforced}; the chart's pods comply with restricted")
