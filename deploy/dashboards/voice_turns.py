"""The lower half of Voice SLO: what became of turns, where their time went, and what they cost in tokens."""

from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Panel

from deploy.dashboards import promql
from deploy.dashboards.filters import POD, TENANT
from deploy.dashboards.page import Row
from deploy.dashboards.panels import BAD, CALM, GOOD, WARN, Query, chart, percentiles

OUTCOME_COLORS = {
    "on_time": GOOD,
    "late": WARN,
    "refused_capacity": BAD,
    "failed": "dark-red",
    "refused_limit": "yellow",
    "client_error": "purple",
    "cancelled": CALM,
}


def rows() -> list[Row]:
    return [("What became of turns", _outcomes()), ("Where the time goes", _stages()), ("Tokens", _tokens())]


def _outcomes() -> list[Builder[Panel]]:
    return [
        chart(
            "Turns by outcome",
            "suffix: turns/s",
            "Green is what you sell. Orange and red is want of capacity, dark red is broken (see the log), yellow is a tenant's "
            "own limit, purple a caller's mistake, blue a caller who hung up.",
            Query(promql.per_second("firstword_turns_total", TENANT, "outcome"), "{{outcome}}"),
            colors=OUTCOME_COLORS,
            stacked=True,
        ),
        chart(
            "Refusals by reason",
            "suffix: turns/s",
            "forecast, calls, full, expired: too much load, see Capacity. engine: vLLM's own bound. not_ready: sent while "
            "starting or draining, see the proxy's health check. turns, requests, tokens: the tenant's own limits.",
            Query(promql.per_second("firstword_refusals_total", TENANT, "reason"), "{{reason}}"),
            stacked=True,
        ),
        chart(
            "Callers who hung up",
            "suffix: turns/s",
            "Barge-ins, by what was heard until then. `speech` is how people talk. `nothing` growing: they wait too long, or the "
            "platform's own time-out is below the budget.",
            Query(promql.per_second("firstword_barge_ins_total", TENANT, "heard"), "heard {{heard}}"),
        ),
        chart(
            "Requests that were no turns",
            "suffix: requests/s",
            "Refused before they were turns, by status; of the whole pool, whatever tenant is chosen. 401: wrong or old key. "
            "404, 405: wrong URL. 408: a slow sender. 413: too large.",
            Query(promql.per_second("firstword_rejected_requests_total", POD, "status"), "{{status}}"),
            width=12,
        ),
        chart(
            "How long turns last",
            "s",
            "From arrival to the end of an answer. Longer with the first word in time: longer answers, or a slower pace "
            "(Engine, time per output token).",
            *percentiles("firstword_turn_duration_seconds", TENANT),
            width=12,
        ),
    ]


def _stages() -> list[Builder[Panel]]:
    stage = "firstword_stage_seconds"
    return [
        chart(
            "Time in each stage (p95)",
            "s",
            "Of the whole pool, whatever tenant is chosen. wait: no room, see Capacity. prefill: long or cold prompts, see "
            "Engine. read: slow senders. render: long histories, or too little CPU.",
            Query(promql.quantile(0.95, stage, POD, "stage"), "{{stage}}"),
            width=12,
        ),
        chart(
            "Time in each stage (p50)",
            "s",
            "The same for half of the turns. Where only p95 is high, few turns pay for all: look at their log lines.",
            Query(promql.quantile(0.5, stage, POD, "stage"), "{{stage}}"),
            width=12,
        ),
        chart(
            "Gaps between frames",
            "s",
            "A voice that speaks faster than this runs dry. Above some 250 ms callers hear pauses: too many turns at once, or "
            "long prompts between steps.",
            *percentiles("firstword_frame_gap_seconds", POD),
            width=12,
        ),
        chart(
            "Time per output token",
            "s",
            "The dashed line is what admission keeps to. Above it: steps are slower than they were measured, see Engine.",
            *percentiles("firstword_tpot_seconds", POD),
            Query(promql.gauge("firstword_tpot_bound_seconds", POD, "pool", of="max"), "bound {{pool}}"),
            limit="^bound",
            width=12,
        ),
    ]


def _tokens() -> list[Builder[Panel]]:
    cached = promql.per_second("firstword_cached_tokens_total", TENANT, "tenant")
    prompt = promql.per_second("firstword_prompt_tokens_total", TENANT, "tenant")
    completion = promql.per_second("firstword_completion_tokens_total", TENANT, "tenant")
    return [
        chart(
            "Tokens wasted",
            "suffix: tokens/s",
            "Generated for callers who had hung up. More than a few per hang-up: a proxy keeps the hang-up from us "
            "(docs/operations.md, When the caller speaks over the agent).",
            Query(promql.some(promql.per_second("firstword_wasted_tokens_total", TENANT, "tenant")), "{{tenant}}"),
        ),
        chart(
            "Prompt found in the cache",
            "percentunit",
            "Share of prompt tokens that need not be computed. Low in long calls: the platform changes earlier messages, or "
            "replicas take turns with one call.",
            Query(promql.known(f"{cached} / {prompt}"), "{{tenant}}"),
        ).max(1),
        chart(
            "Tokens for each tenant",
            "suffix: tokens/s",
            "What each tenant uses, of finished turns. One that grows alone explains the others' waiting: see its weight and "
            "limits.",
            Query(promql.some(prompt), "{{tenant}} prompt"),
            Query(promql.some(completion), "{{tenant}} completion"),
        ),
    ]
