"""Values that the chart sets itself, or that contradict other values. templates/_checks_given.tpl has the same rules."""

import re
from collections.abc import Iterator

from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed
from service.preflight.kubernetes_types import quantity
from service.preflight.values.demand import format_quantity
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
        seen = f"the release name {plan.release} is not valid for the names of Services"
        yield failed(seen, "Choose a name of lower-case letters, digits and dashes that begins with a letter.")
    groups = (("podMonitor", monitoring.pod_monitor), ("rules", monitoring.rules), ("dashboards", monitoring.dashboards))
    for name, group in groups:
        for key in group.labels:
            if key in _OF_EACH_OBJECT:
                yield failed(f"monitoring.{name}.labels: the chart sets {key}", "Choose another key.")
    for pool in snapshot.values.pools:
        image = pool.image
        if image.tag and "digest" not in image.model_fields_set and snapshot.values.pool_defaults.image.digest:
            seen = f"pool {pool.name}: image.tag is {image.tag}, but poolDefaults.image.digest takes precedence"
            yield failed(seen, 'Set the pool\'s image.digest to the digest of its image, or to "" to use the tag.')
    keys = snapshot.values.keys
    if keys.file_key == keys.plain_key:
        yield failed(f"keys.fileKey and keys.plainKey are both {keys.file_key}", "Set them to two different keys of the Secret.")
    job = f"{plan.fullname}-loadtest-9999-workers"
    if snapshot.values.load_test.enabled and len(job) > _LONGEST_JOB:
        fix = "Choose a shorter release name, or set loadTest.enabled to false."
        yield failed(
            f"the longest name of a load test Job, {job}, has {len(job)} characters, and the limit is {_LONGEST_JOB}", fix
        )


def labels(pool: Pool) -> Iterator[Found]:
    for group, given in (("podLabels", pool.pod_labels), ("podAnnotations", pool.pod_annotations)):
        for key in given:
            if _OUR_LABELS.match(key):
                yield failed(f"{group}: the chart sets {key}", "Choose another key.")


def variables(pool: Pool) -> Iterator[Found]:
    """Check the names of `env`. The results never show a value, because it may be a token."""
    names = [variable.name for variable in pool.env]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            yield failed(f"env: the variable {name} is set twice", "Remove one of them.")
        if name.startswith("FIRSTWORD_"):
            setting = name.removeprefix("FIRSTWORD_").lower()
            yield failed(f"env: {name} is a setting of the service", f"Set it in `settings` as {setting}.")
        if name == "HF_TOKEN":
            yield failed(
                "env: the chart sets HF_TOKEN", "Set cache.tokenSecret. Then only the container that downloads gets the token."
            )
        if name in _SET_BY_CHART or (name == "VLLM_HOST_IP" and pool.nodes > 1):
            yield failed(f"env: the chart sets {name}", "Remove it.")


def resources(pool: Pool) -> Iterator[Found]:
    """Check for resources that Kubernetes refuses, and for memory limits that get pods killed."""
    asked, limits = pool.resources.requests, pool.resources.limits
    for name in sorted(asked.keys() & limits.keys()):
        if quantity(asked[name]) > quantity(limits[name]):
            seen = f"resources.requests.{name} is {asked[name]}, above resources.limits.{name}, which is {limits[name]}"
            yield failed(seen, "Raise the limit, or lower the request.")
    if "memory" not in limits:
        return
    memory, shm_gib = quantity(limits["memory"]), pool.shm_gib or 1 + 2 * (pool.gpu.count if pool.gpu.enabled else 0)
    if 2 * shm_gib * 2**30 > memory:
        limit = format_quantity("memory", memory)
        seen = f"shared memory may take {shm_gib}Gi, more than half of resources.limits.memory, which is {limit}"
        yield failed(seen, "Raise the memory limit and request, or lower shmGiB. The pod's processes need the rest.")
