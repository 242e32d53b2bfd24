"""The dashboard Engine: turns, cache, steps and state of each pod."""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.dashboards import engine_state, filters, names, promql
from deploy.dashboards.filters import ENGINE, POD
from deploy.dashboards.page import page
from deploy.dashboards.panels import BAD, Query, chart, percentiles


def build() -> Dashboard:
    why = "The engine of each pod: its turns, its cache and its steps, and the state of the service."
    rows = [
        ("Turns in the engine", _turns()),
        ("KV cache", _cache()),
        ("Throughput and steps", _pace()),
        ("Hang-ups, drains and restarts", _trouble()),
        *engine_state.rows(),
    ]
    return page(names.ENGINE, "Firstword: Engine", why, rows)


def _turns() -> list[Builder[Panel]]:
    return [
        chart(
            "Turns running and their limit",
            "suffix: turns",
            "The limit comes from measured step times. If the running turns stay near it, see Capacity. If the limit falls under "
            "an unchanged load, steps have become slower.",
            Query(promql.by_pod("firstword_turns_running"), "running {{pod}}"),
            Query(promql.by_pod("firstword_turns_limit"), "limit {{pod}}"),
            limit="^limit",
        ),
        chart(
            "Turns waiting",
            "suffix: turns",
            "Turns that are being tokenized or that wait for the engine. A few for a moment are normal. Turns that cannot start "
            "within their TTFT budget are refused.",
            Query(promql.by_pod("firstword_turns_waiting"), "{{pod}}"),
        ),
        chart(
            "vLLM requests running and waiting",
            "suffix: requests",
            "Requests inside vLLM. Waiting should stay near 0, because turns wait before they enter the engine. If it is higher, "
            "vLLM's max_num_seqs or its KV cache is too small for the turns that are admitted.",
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
            "Above the dashed line at 90 % no further turn enters the engine. If it is often there, shorten prompts or use a GPU "
            "with more memory.",
            Query(promql.by_pod("vllm:kv_cache_usage_perc", ENGINE, of="max"), "{{pod}}"),
            lines={0.9: BAD},
        ).max(1),
        chart(
            "Prefix cache hit rate",
            "percentunit",
            "Share of prompt tokens found in the prefix cache. A fall makes first words later. Causes: a new system prompt, too "
            "many tenants for the cache, or calls that move between replicas.",
            Query(f"{hits} / {queries}", "{{pod}}"),
        ).max(1),
        chart(
            "Preemptions",
            "suffix: turns/s",
            "Turns that vLLM removed from the KV cache to free space, and computes again. Callers hear a pause. If this is not "
            "0, the KV cache is too small for the running turns.",
            Query(promql.per_second("vllm:num_preemptions_total", ENGINE, "pool", "pod"), "{{pod}}"),
        ),
    ]


def _pace() -> list[Builder[Panel]]:
    error = "firstword_ttft_forecast_error_seconds"
    return [
        chart(
            "Tokens per second",
            "suffix: tokens/s",
            "Callers wait for prompt tokens and hear generated ones. If prompts take time from generation, gaps between frames "
            "grow (Voice SLO).",
            Query(promql.per_second("vllm:prompt_tokens_total", ENGINE, "pool"), "prompt {{pool}}"),
            Query(promql.per_second("vllm:generation_tokens_total", ENGINE, "pool"), "generated {{pool}}"),
            width=12,
        ),
        chart(
            "Engine step time",
            "s",
            "One step gives each running turn a token. If steps are slower at the same number of turns, the GPU is hot or shared "
            "(Capacity), or the steps hold longer prompts.",
            *percentiles("firstword_engine_step_seconds", POD, "pool", shares=(0.5, 0.99)),
            width=12,
        ),
        chart(
            "Time per output token",
            "s",
            "The dashed line is the bound that admission keeps. Above it, the engine has become slower and the limit of turns "
            "has not yet followed.",
            *percentiles("firstword_tpot_seconds", POD, "pool", shares=(0.5, 0.99)),
            Query(promql.gauge("firstword_tpot_bound_seconds", POD, "pool", of="max"), "bound {{pool}}"),
            limit="^bound",
            width=12,
        ),
        chart(
            "TTFT forecast error (p95)",
            "s",
            "Admission decides by TTFT forecasts. Tokens much later than forecast make turns late. Tokens much earlier than "
            "forecast mean that turns are refused although they would be in time.",
            Query(promql.quantile(0.95, error, POD, "pool", "token"), "token {{token}} {{pool}}"),
            width=12,
        ),
    ]


def _trouble() -> list[Builder[Panel]]:
    drain = promql.by_pod("firstword_drain_deadline_timestamp_seconds", of="max")
    restarts = f"kube_pod_container_status_restarts_total{{{filters.named_pods()}}}"
    return [
        chart(
            "Time without an engine step",
            "s",
            "Time since the last step, while the engine has turns. Seconds mean a long prefill. A value that keeps growing is a "
            "hang: the watchdog kills the engine (docs/operations.md, What the watchdog reports).",
            Query(promql.by_pod("firstword_engine_silent_seconds", of="max"), "{{pod}}"),
        ),
        chart(
            "Turns aborted after a hang-up",
            "suffix: turns/s",
            "Turns that the engine aborted because the caller hung up. The next panel shows how long that takes.",
            Query(promql.per_second("firstword_abort_seconds_count", POD, "pool"), "{{pool}}"),
        ),
        chart(
            "Time from hang-up to abort",
            "s",
            "If this is longer than two engine steps, the event loop is busy: see CPU of the process on Capacity.",
            *percentiles("firstword_abort_seconds", POD, "pool", shares=(0.5, 0.99)),
        ),
        chart(
            "Drain time left",
            "s",
            "Time until a draining pod cuts off its running turns. Turns that are cut off count as failed: allow a longer drain.",
            Query(f"clamp_min({drain} - time(), 0)", "{{pod}}"),
            width=12,
        ),
        chart(
            "Container restarts in one hour",
            "suffix: restarts",
            "This should be 0. If not, the log of the previous container (kubectl logs --previous) holds `engine died` or "
            "`engine hung`, or Kubernetes shows OOMKilled. From kube-state-metrics.",
            Query(f"sum by (pod) (increase({restarts}[1h]))", "{{pod}}"),
            width=12,
        ),
    ]
