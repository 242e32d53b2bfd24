"""The dashboard Capacity: the load of each pool, its replicas and autoscaler, and the use of GPUs and processes."""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.dashboards import filters, names, promql
from deploy.dashboards.filters import MODEL, POD, PROCESS
from deploy.dashboards.page import page
from deploy.dashboards.panels import BAD, WARN, Query, chart


def build() -> Dashboard:
    why = "The load of each pool against its limit, its replicas and autoscaler, and the use of GPUs and processes."
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
            "Load relative to the limit",
            "percentunit",
            "Running turns, divided by the turns that may run at once. Above 80 % for minutes: add replicas before turns are "
            "refused. If all pools are at 100 % and the autoscaler is at its maximum, raise the maximum.",
            Query(f"{running} / {most}", "{{pool}}"),
            lines={0.8: WARN, 1: BAD},
            width=12,
        ),
        chart(
            "Turns in each pool",
            "suffix: turns",
            "Running and waiting turns. The dashed line is the limit of running turns. A limit of 0 or a gap means that no "
            "replica is up.",
            Query(running, "running {{pool}}"),
            Query(waiting, "waiting {{pool}}"),
            Query(most, "limit {{pool}}"),
            limit="^limit",
            width=12,
        ),
        chart(
            "Turns offered to each pool",
            "suffix: turns/s",
            "The demand: turns that arrive, including those that are then refused. If pools of one model get uneven shares, "
            "check the proxy's weights.",
            Query(offered, "{{pool}}"),
            width=12,
        ),
        chart(
            "Turns offered to each ready replica",
            "suffix: turns/s",
            "The measure that the autoscaler uses. The dashed line is its target. Above the target without new replicas: see the "
            "panels below. Below the target with turns refused: the target is too high for one replica.",
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
            "The dashed line is the wanted number. If fewer are ready for longer than a model takes to load, a pod is pending, "
            "or it starts and fails.",
            Query(promql.of_deployment("kube_deployment_status_replicas_ready"), "ready {{pool}}"),
            Query(promql.of_deployment("kube_deployment_spec_replicas"), "wanted {{pool}}"),
            limit="^wanted",
            width=12,
        ),
        chart(
            "Autoscaler",
            "suffix: replicas",
            "The dashed line is the maximum. If the wanted number stays at the maximum, raise it or add GPUs. If more are wanted "
            "than exist, no node has free resources.",
            Query(promql.of_autoscaler("kube_horizontalpodautoscaler_status_current_replicas"), "current {{pool}}"),
            Query(promql.of_autoscaler("kube_horizontalpodautoscaler_status_desired_replicas"), "wanted {{pool}}"),
            Query(promql.of_autoscaler("kube_horizontalpodautoscaler_spec_max_replicas"), "maximum {{pool}}"),
            limit="^maximum",
            width=12,
        ),
        chart(
            "Pods pending",
            "suffix: pods",
            "Pods without a node, or still pulling the image. If this lasts longer than a node takes to start, `kubectl describe "
            "pod` shows what is missing. Most often it is nvidia.com/gpu.",
            Query(f"sum by (pool) ({pending})", "{{pool}}"),
            width=12,
        ),
        chart(
            "Age of the oldest pending pod",
            "s",
            "0 means that no pod is pending. A few minutes mean that a node is starting. A longer time means no free GPU, a "
            "quota or a taint.",
            Query(f"max by (pool) ({age})", "{{pool}}"),
            width=12,
        ),
    ]


def _gpus() -> list[Builder[Panel]]:
    legend = "{{pod}} gpu {{gpu}}"
    return [
        chart(
            "GPU utilization",
            "percent",
            "Share of the time in which any kernel ran. 100 % does not mean that the GPU is full. If it is low while turns wait, "
            "the CPU or the event loop delays them.",
            Query(promql.of_gpus("DCGM_FI_DEV_GPU_UTIL"), legend),
            width=6,
        ).max(100),
        chart(
            "GPU memory used",
            "mbytes",
            "vLLM allocates its share at the start, so this should be flat. If it grows, another process uses this GPU.",
            Query(promql.of_gpus("DCGM_FI_DEV_FB_USED"), legend),
            width=6,
        ),
        chart(
            "GPU power",
            "watt",
            "At the card's power limit, clocks fall and steps become slower. If one card is far below the others under the same "
            "load, it is throttled.",
            Query(promql.of_gpus("DCGM_FI_DEV_POWER_USAGE"), legend),
            width=6,
        ),
        chart(
            "GPU errors (last XID)",
            "none",
            "The number of the last XID error, or 0. 13, 31 and 43 are most often faults of a program: restart it. 48, 63, 64, "
            "74, 79, 94 and 95 are hardware faults: drain the node.",
            Query(promql.of_gpus("DCGM_FI_DEV_XID_ERRORS"), legend),
            width=6,
        ),
    ]


def _processes() -> list[Builder[Panel]]:
    scope = "The process that answers HTTP, without the engine's processes."
    return [
        chart(
            "CPU of the process",
            "suffix: cores",
            f"{scope} Near 1 core the event loop is full and delays the answers of each step: add replicas.",
            Query(promql.per_second("process_cpu_seconds_total", PROCESS, "pool", "pod"), "{{pod}}"),
        ),
        chart(
            "Memory of the process",
            "bytes",
            f"{scope} If it grows for days, it is a leak: report it with the version.",
            Query(promql.gauge("process_resident_memory_bytes", PROCESS, "pool", "pod"), "{{pod}}"),
        ),
        chart(
            "Open files",
            "suffix: files",
            "Each connection is one open file. The dashed line is the limit of the process. Near the limit, the longest idle "
            "connections are closed: find out which clients keep so many open.",
            Query(promql.gauge("process_open_fds", PROCESS, "pool", "pod"), "open {{pod}}"),
            Query(promql.gauge("process_max_fds", PROCESS, "pool", "pod", of="min"), "limit {{pod}}"),
            limit="^limit",
        ),
    ]
