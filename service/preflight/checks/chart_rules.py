"""What the user gave that the chart sets itself, or that contradicts the rest: as templates/_checks_given.tpl has it."""

import re
from collections.abc import Iterator

from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, wrong
from service.preflight.kubernetes_types import quantity
from service.preflight.values.demand import told
from service.preflight.values.pool_values import Pool

_OUR_LABELS = re.compile(r"((app\.kubernetes\.io|firstword\.io|helm\.sh)/|kubectl\.kubernetes\.io/default-container$)")
_SET_BY_CHART = (
    "HOME",
    "USER",
    "LOGNAME",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HF_HUB_DISABLE_TELEMETRY",
    "VLLM_CACHE_ROOT",
    "VLLM_NO_USAGE_STATS",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "FLASHINFER_WORKSPACE_BASE",
    "CUDA_CACHE_PATH",
)
_LONGEST_JOB = 63
_OF_EACH_OBJECT = ("helm.sh/chart", *(f"app.kubernetes.io/{part}" for part in ("name", "instance", "version", "managed-by")))


def of_release(snapshot: Snapshot) -> Iterator[Found]:
    plan, monitoring = snapshot.plan, snapshot.values.monitoring
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", plan.release):
        seen = f"the release's name is {plan.release}, and Services are named after it"
        yield wrong(seen, "Install it under another: lower-case letters, digits and dashes, and a letter first.")
    groups = (("podMonitor", monitoring.pod_monitor), ("rules", monitoring.rules), ("dashboards", monitoring.dashboards))
    for name, group in groups:
        for key in group.labels:
            if key in _OF_EACH_OBJECT:
                yield wrong(f"monitoring.{name}.labels: {key} is the chart's own", "Choose another key.")
    for pool in snapshot.values.pools:
        image = pool.image
        if image.tag and "digest" not in image.model_fields_set and snapshot.values.pool_defaults.image.digest:
            seen = f"pool {pool.name}: image.tag is {image.tag}, and it would still run poolDefaults.image.digest"
            yield wrong(seen, 'Give the pool the digest of its own image, or digest: "" to go by the tag.')
    keys = snapshot.values.keys
    if keys.file_key == keys.plain_key:
        yield wrong(f"keys.fileKey and keys.plainKey are both {keys.file_key}", "The Secret has the two under two names.")
    job = f"{plan.fullname}-loadtest-9999-workers"
    if snapshot.values.load_test.enabled and len(job) > _LONGEST_JOB:
        fix = "Install the release under a shorter name, or set loadTest.enabled to false."
        yield wrong(
            f"the load test's Jobs would be named like {job}, {len(job)} characters long; {_LONGEST_JOB} is the most", fix
        )


def labels(pool: Pool) -> Iterator[Found]:
    for group, given in (("podLabels", pool.pod_labels), ("podAnnotations", pool.pod_annotations)):
        for key in given:
            if _OUR_LABELS.match(key):
                yield wrong(f"{group}: {key} is the chart's own, by which pods are found", "Choose another key.")


def variables(pool: Pool) -> Iterator[Found]:
    """Their names alone: a value may be a token."""
    names = [variable.name for variable in pool.env]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            yield wrong(f"env: two are named {name}", "Leave one of them out.")
        if name.startswith("FIRSTWORD_"):
            setting = name.removeprefix("FIRSTWORD_").lower()
            yield wrong(f"env: {name} is a setting of the service", f"Settings stand in `settings`, this one as {setting}.")
        if name == "HF_TOKEN":
            yield wrong(
                "env: the chart sets HF_TOKEN", "Name its Secret in cache.tokenSecret, so that only what downloads has it."
            )
        if name in _SET_BY_CHART or (name == "VLLM_HOST_IP" and pool.nodes > 1):
            yield wrong(f"env: the chart sets {name}", "Leave it out.")


def resources(pool: Pool) -> Iterator[Found]:
    """What Kubernetes refuses, or ends."""
    asked, limits = pool.resources.requests, pool.resources.limits
    for name in sorted(asked.keys() & limits.keys()):
        if quantity(asked[name]) > quantity(limits[name]):
            seen = f"resources.requests.{name} is {asked[name]}, and its limit {limits[name]}"
            yield wrong(seen, "No pod asks for more than its limit: raise the one, or lower the other.")
    if "memory" not in limits:
        return
    memory, shm_gib = quantity(limits["memory"]), pool.shm_gib or 1 + 2 * (pool.gpu.count if pool.gpu.enabled else 0)
    if 2 * shm_gib * 2**30 > memory:
        seen = f"shared memory may take {shm_gib}Gi, more than half of resources.limits.memory, {told('memory', memory)}"
        yield wrong(seen, "The pod's processes need the rest: raise limit and request, or set shmGiB to less.")
