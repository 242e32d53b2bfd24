"""Engine: what one pod's engine does with the turns that it was given."""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.dashboards import engine_state, filters, names, promql
from deploy.dashboards.filters import ENGINE, POD
from deploy.dashboards.page import page
from deploy.dashboards.panels import BAD, Query, chart, percentiles


def build() -> Dashboard:
    why = "What the engine of each pod does: turns, cache, steps, and the state that the service is in."
    rows = [
        ("Turns in the engine", _turns()),
        ("Memory and cache", _cache()),
        ("Pace", _pace()),
        ("When it must stop or go on", _trouble()),
        *engine_state.rows(),
    ]
    return page(names.ENGINE, "Firstword: Engine", why, rows)


def _turns() -> list[Builder[Panel]]:
    return [
        chart(
            "Turns running, and their limit",
            "suffix: turns",
            "The limit is learned from measured steps. Running near it for long: see Capacity. A limit that falls with the load "
            "unchanged: steps have become slower.",
            Query(promql.by_pod("firstword_turns_running"), "running {{pod}}"),
            Query(promql.by_pod("firstword_turns_limit"), "limit {{pod}}"),
            limit="^limit",
        ),
        chart(
            "Turns waiting",
            "suffix: turns",
            "Being tokenized, or waiting for the engine. A few for moments is normal; more than the engine takes in one budget "
            "are refused before long.",
            Query(promql.by_pod("firstword_turns_waiting"), "{{pod}}"),
        ),
        chart(
            "The engine's own queue",
            "suffix: requests",
            "What vLLM itself runs and has waiting. Waiting should stay near 0, since turns wait in front of it; above: its "
            "max_num_seqs or its KV cache is smaller than what we let in.",
            Query(promql.by_pod("vllm:num_requests_running", ENGINE), "running {{pod}}"),
            Query(promql.by_pod("vllm:num_requests_waiting", ENGINE), "waiting {{pod}}"),
        ),
    ]


def _cache() -> list[Builder[Panel]]:
    hits = promql.per_second("vllm:prefix_cache_hits_total", ENGINE, "pool", "pod")
    queries = promql.per_second("vllm:prefix_cache_queries_total", ENGINE, "pool", "pod")
    return [
        chart(
            "KV cache used",
            "percentunit",
            "Above the dashed 90 % no further turn goes in. Often there: shorter prompts, or a GPU with more memory.",
            Query(promql.by_pod("vllm:kv_cache_usage_perc", ENGINE, of="max"), "{{pod}}"),
            lines={0.9: BAD},
        ).max(1),
        chart(
            "Prefix cache hits",
            "percentunit",
            "Share of prompt tokens found in the cache. A fall makes first words later: a new system prompt, more tenants than "
            "fit, or calls that hop between replicas.",
            Query(f"{hits} / {queries}", "{{pod}}"),
        ).max(1),
        chart(
            "Preemptions",
            "suffix: turns/s",
            "Turns that vLLM threw out to make room, and computes anew: callers hear a pause. Should be 0; else the KV cache is "
            "too small for what runs.",
            Query(promql.per_second("vllm:num_preemptions_total", ENGINE, "pool", "pod"), "{{pod}}"),
        ),
    ]


def _pace() -> list[Builder[Panel]]:
    error = "firstword_ttft_forecast_error_seconds"
    return [
        chart(
            "Tokens",
            "suffix: tokens/s",
            "Prompt tokens are what callers wait for, generated ones what they hear. Prompts that crowd out generation show as "
            "gaps between frames (Voice SLO).",
            Query(promql.per_second("vllm:prompt_tokens_total", ENGINE, "pool"), "prompt {{pool}}"),
            Query(promql.per_second("vllm:generation_tokens_total", ENGINE, "pool"), "generated {{pool}}"),
            width=12,
        ),
        chart(
            "Time of one step",
            "s",
            "One step gives each running turn a token. Slower at the same number of turns: a hot or shared GPU (Capacity), or "
            "longer prompts within steps.",
            *percentiles("firstword_engine_step_seconds", POD, "pool", shares=(0.5, 0.99)),
            width=12,
        ),
        chart(
            "Time per output token",
            "s",
            "The dashed line is the bound that admission keeps to. Above it: the limit of turns has not yet followed a slower "
            "engine.",
            *percentiles("firstword_tpot_seconds", POD, "pool", shares=(0.5, 0.99)),
            Query(promql.gauge("firstword_tpot_bound_seconds", POD, "pool", of="max"), "bound {{pool}}"),
            limit="^bound",
            width=12,
        ),
        chart(
            "How far forecasts were off (p95)",
            "s",
            "Forecasts decide who is let in. First tokens late by much of the budget make turns late; early by much, turns are "
            "refused that would have come in time.",
            Query(promql.quantile(0.95, error, POD, "pool", "token"), "token {{token}} {{pool}}"),
            width=12,
        ),
    ]


def _trouble() -> list[Builder[Panel]]:
    drain = promql.by_pod("firstword_drain_deadline_timestamp_seconds", of="max")
    restarts = f"kube_pod_container_status_restarts_total{{{filters.named_pods()}}}"
    return [
        chart(
            "Engine silent",
            "s",
            "How long the engine has had work and given no step. Seconds are a long prefill; growing without end is a hang: the "
            "watchdog ends it (docs/operations.md, What the watchdog tells).",
            Query(promql.by_pod("firstword_engine_silent_seconds", of="max"), "{{pod}}"),
        ),
        chart(
            "Hang-ups told to the engine",
            "suffix: turns/s",
            "Turns aborted since their caller hung up. How fast that goes is beside it.",
            Query(promql.per_second("firstword_abort_seconds_count", POD, "pool"), "{{pool}}"),
        ),
        chart(
            "From hang-up to abort",
            "s",
            "More than two steps: the event loop is busy, see the CPU on Capacity.",
            *percentiles("firstword_abort_seconds", POD, "pool", shares=(0.5, 0.99)),
        ),
        chart(
            "Time left to drain",
            "s",
            "Of a pod that is to stop: at 0 what still runs is cut off. Turns cut off count as failed: give it a longer drain.",
            Query(f"clamp_min({drain} - time(), 0)", "{{pod}}"),
            width=12,
        ),
        chart(
            "Restarts within an hour",
            "suffix: restarts",
            "Should be 0. Else the log of the container before (kubectl logs --previous) says `engine died` or `engine hung`, or "
            "Kubernetes says OOMKilled. From kube-state-metrics.",
            Query(f"sum by (pod) (increase({restarts}[1h]))", "{{pod}}"),
            width=12,
        ),
    ]
