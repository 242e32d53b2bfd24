"""The lower half of the dashboard Engine: system prompts, adapters, keys, and the state of each pod."""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards import promql
from deploy.dashboards.filters import MODEL, POD, PROCESS
from deploy.dashboards.page import Row
from deploy.dashboards.panels import BAD, CALM, GOOD, WARN, Query, chart, listing, states

STATE_NUMBERS = {"starting": 1, "ready": 2, "draining": 3, "failed": 4}
STATE_COLORS = {"starting": CALM, "ready": GOOD, "draining": WARN, "failed": BAD}


def rows() -> list[Row]:
    return [("System prompts, adapters and keys", _loaded()), ("Pods", _pods())]


def _loaded() -> list[Builder[Panel]]:
    warm = promql.added("firstword_system_prompt_warmups_total", POD, "pool", "result")
    evicted = promql.added("firstword_system_prompt_evictions_total", POD, "pool")
    keys = promql.added("firstword_key_file_reloads_total", POD, "pool", "result")
    return [
        chart(
            "System prompt warm-ups and evictions",
            "suffix: prompts",
            "Prefix warm-ups of the configured system prompts, and their evictions from the prefix cache, in each interval. If "
            "evictions go on, the KV cache is too small for them (docs/warmup.md).",
            Query(warm, "{{result}} {{pool}}"),
            Query(evicted, "evicted {{pool}}"),
        ),
        chart(
            "Adapters",
            "suffix: adapters",
            "LoRA adapters that callers can use, and loads in each interval by result. Fewer than configured means that one was "
            "refused: the log says which and why (docs/adapters.md).",
            Query(promql.by_pod("firstword_adapters"), "usable {{pod}}"),
            Query(promql.added("firstword_adapter_loads_total", POD, "pool", "result"), "{{result}} {{pool}}"),
        ),
        chart(
            "Key file",
            "none",
            "`usable` is 1 while the key file is valid. At 0, the last valid keys stay in use and new keys do not work: correct "
            "the file (docs/tenants.md).",
            Query(promql.by_pod("firstword_key_file_ok", of="min"), "usable {{pod}}"),
            Query(keys, "{{result}} {{pool}}"),
        ),
    ]


def _pods() -> list[Builder[Panel]]:
    numbers = (f"{n} * " + promql.by_pod("firstword_state", f'{POD}, state="{state}"') for state, n in STATE_NUMBERS.items())
    texts = {number: (state, STATE_COLORS[state]) for state, number in STATE_NUMBERS.items()}
    build = ("version", "engine", "model", "revision", "fingerprint")
    age = f"(time() - process_start_time_seconds{{{PROCESS}}})"
    runs = f"{age} * on (namespace, pod) group_left ({', '.join(build)}) firstword_build_info{{{MODEL}}}"
    return [
        states(
            "State of each pod",
            "If a pod has failed, or starts for long, read its log. If it drains without a roll-out, `kubectl get events` shows "
            "what deletes it.",
            Query(" + ".join(numbers), "{{pod}}"),
            texts,
        ),
        chart(
            "Pod readiness",
            "none",
            "1 while /readyz answers 200. If it goes up and down, the engine dies again and again, or the machine is too busy.",
            Query(promql.by_pod("firstword_ready", of="min"), "{{pod}}"),
            width=12,
        ),
        listing(
            "Versions and uptime",
            "s",
            "If two versions or revisions stay, a roll-out is stuck. A short uptime without a roll-out means a restart.",
            Query(f"sum by (pool, pod, {', '.join(build)}) ({runs})", "{{pod}}", is_instant=True),
            columns=("pool", "pod", *build),
            value="uptime",
        ),
    ]
