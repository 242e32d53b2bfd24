"""Capacity: how close each pool is to its limit, what the autoscaler does about it, and what the machines have left."""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.dashboards import filters, names, promql
from deploy.dashboards.filters import MODEL, POD, PROCESS
from deploy.dashboards.page import page
from deploy.dashboards.panels import BAD, WARN, Query, chart


def build() -> Dashboard:
    why = "How close each pool is to its limit, what the autoscaler does about it, and what the machines have left."
    rows = [("Load", _load()), ("Replicas", _replicas()), ("GPUs", _gpus()), ("Processes", _processes())]
    return page(names.CAPACITY, "Firstword: Capacity", why, rows)


def _load() -> list[Builder[Panel]]:
    running = promql.gauge("firstword_turns_running", POD, "pool")
    waiting = promql.gauge("firstword_turns_waiting", POD, "pool")
    most = promql.gauge("firstword_turns_limit", POD, "pool")
    offered = promql.per_second("firstword_turns_offered_total", MODEL, "pool")
    ready = promql.gauge("firstword_ready", POD, "pool")
    target = promql.of_autoscaler("kube_horizontalpodautoscaler_spec_target_metric", 'metric_target_type="average"')
    return [
        chart(
            "Load against the limit",
            "percentunit",
            "Turns running, of those that may run at once. Above 80 % for minutes: more replicas, before turns are refused. All "
            "at 100 % with the autoscaler at its maximum: raise the maximum.",
            Query(f"{running} / {most}", "{{pool}}"),
            lines={0.8: WARN, 1: BAD},
            width=12,
        ),
        chart(
            "Turns in each pool",
            "suffix: turns",
            "Running and waiting, beside what may run (dashed). A limit of 0 or a gap: no replica is up.",
            Query(running, "running {{pool}}"),
            Query(waiting, "waiting {{pool}}"),
            Query(most, "limit {{pool}}"),
            limit="^limit",
            width=12,
        ),
        chart(
            "Turns offered to each pool",
            "suffix: turns/s",
            "Refused ones included: the demand, not what was served. Uneven between pools of one model: see the proxy's weights.",
            Query(offered, "{{pool}}"),
            width=12,
        ),
        chart(
            "Turns offered to each ready replica",
            "suffix: turns/s",
            "What the autoscaler goes by; dashed is its target. Above the target with no new replica: see the panels below. "
            "Below it with turns refused: the target is too high for what one replica can do.",
            Query(f"{offered} / ({ready} > 0)", "{{pool}}"),
            Query(target, "target {{pool}}"),
            limit="^target",
            width=12,
        ),
    ]


def _replicas() -> list[Builder[Panel]]:
    phase = f'kube_pod_status_phase{{{filters.named_pods()}, phase="Pending"}}'
    created = f"kube_pod_created{{{filters.named_pods()}}}"
    pending = promql.with_pool(phase, "pod", filters.POD_POOL)
    age = promql.with_pool(f"(time() - {created}) * on (namespace, pod, uid) {phase}", "pod", filters.POD_POOL)
    return [
        chart(
            "Replicas wanted and ready",
            "suffix: replicas",
            "Dashed is wanted. Ready below it for longer than a model takes to load: a pod is pending, or starts and fails.",
            Query(promql.of_deployment("kube_deployment_status_replicas_ready"), "ready {{pool}}"),
            Query(promql.of_deployment("kube_deployment_spec_replicas"), "wanted {{pool}}"),
            limit="^wanted",
            width=12,
        ),
        chart(
            "Autoscaler",
            "suffix: replicas",
            "Wanted at the maximum (dashed) for long: raise the maximum or buy GPUs. Wanted above what there is: no node has "
            "room.",
            Query(promql.of_autoscaler("kube_horizontalpodautoscaler_status_current_replicas"), "current {{pool}}"),
            Query(promql.of_autoscaler("kube_horizontalpodautoscaler_status_desired_replicas"), "wanted {{pool}}"),
            Query(promql.of_autoscaler("kube_horizontalpodautoscaler_spec_max_replicas"), "maximum {{pool}}"),
            limit="^maximum",
            width=12,
        ),
        chart(
            "Pods pending",
            "suffix: pods",
            "Pods without a place, or still pulling the image. Longer than a node takes to come: `kubectl describe pod` says "
            "what is missing, most often nvidia.com/gpu.",
            Query(f"sum by (pool) ({pending})", "{{pool}}"),
            width=12,
        ),
        chart(
            "How long the oldest pod has been pending",
            "s",
            "0 where none is. Minutes are a node that starts; more is a cluster without GPUs left, a quota, or a taint.",
            Query(f"max by (pool) ({age})", "{{pool}}"),
            width=12,
        ),
    ]


def _gpus() -> list[Builder[Panel]]:
    legend = "{{pod}} gpu {{gpu}}"
    return [
        chart(
            "GPU busy",
            "percent",
            "Share of time in which any kernel ran; 100 % is not yet full. Low while turns wait: the CPU or the event loop holds "
            "them up.",
            Query(promql.of_gpus("DCGM_FI_DEV_GPU_UTIL"), legend),
            width=6,
        ).max(100),
        chart(
            "GPU memory used",
            "mbytes",
            "vLLM takes its share at the start, so it should be flat. Growing: something else is on this GPU.",
            Query(promql.of_gpus("DCGM_FI_DEV_FB_USED"), legend),
            width=6,
        ),
        chart(
            "GPU power",
            "watt",
            "At the card's limit, clocks fall and steps slow down. Far below others under the same load: a throttled card.",
            Query(promql.of_gpus("DCGM_FI_DEV_POWER_USAGE"), legend),
            width=6,
        ),
        chart(
            "GPU errors (last XID)",
            "none",
            "The number of the last XID error, 0 for none. 13, 31, 43: most often a program's fault, a restart heals it. "
            "48, 63, 64, 74, 79, 94, 95: hardware; drain the node.",
            Query(promql.of_gpus("DCGM_FI_DEV_XID_ERRORS"), legend),
            width=6,
        ),
    ]


def _processes() -> list[Builder[Panel]]:
    scope = "Of the process that answers HTTP; the engine's processes are not in it."
    return [
        chart(
            "CPU of the process",
            "suffix: cores",
            f"{scope} Near 1: the event loop is full, and each step's answers wait for it; add replicas.",
            Query(promql.per_second("process_cpu_seconds_total", PROCESS, "pool", "pod"), "{{pod}}"),
        ),
        chart(
            "Memory of the process",
            "bytes",
            f"{scope} Growing for days is a leak: report it with the version.",
            Query(promql.gauge("process_resident_memory_bytes", PROCESS, "pool", "pod"), "{{pod}}"),
        ),
        chart(
            "Open files",
            "suffix: files",
            "Each connection is one; dashed is what the process may have. Near it, the longest idle connections are closed: see "
            "who keeps so many open.",
            Query(promql.gauge("process_open_fds", PROCESS, "pool", "pod"), "open {{pod}}"),
            Query(promql.gauge("process_max_fds", PROCESS, "pool", "pod", of="min"), "limit {{pod}}"),
            limit="^limit",
        ),
    ]
