"""The lower half of the dashboard Voice SLO: outcomes of turns, time in each stage, tokens, and what the model puts out."""

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
    return [("Outcomes", _outcomes()), ("Stages and pace", _stages()), ("Tokens", _tokens()), ("Model output", _output())]


def _outcomes() -> list[Builder[Panel]]:
    return [
        chart(
            "Turns by outcome",
            "suffix: turns/s",
            "Green: on time. Orange and red: not enough capacity. Dark red: failed, see the log. Yellow: over the tenant's own "
            "limit. Purple: a client's mistake. Blue: the caller hung up.",
            Query(promql.per_second("firstword_turns_total", TENANT, "outcome"), "{{outcome}}"),
            colors=OUTCOME_COLORS,
            stacked=True,
        ),
        chart(
            "Refusals by reason",
            "suffix: turns/s",
            "forecast, calls, full, expired: too much load, see Capacity. engine: a limit of vLLM's own. not_ready: sent to a "
            "pod that starts or drains, so check the proxy's health check. turns, requests, tokens: the tenant's own limits.",
            Query(promql.per_second("firstword_refusals_total", TENANT, "reason"), "{{reason}}"),
            stacked=True,
        ),
        chart(
            "Caller hang-ups",
            "suffix: turns/s",
            "Barge-ins, by what the caller had heard. `speech` is normal. If `nothing` grows, callers wait too long, or the "
            "platform's own time-out is below the TTFT budget.",
            Query(promql.per_second("firstword_barge_ins_total", TENANT, "heard"), "heard {{heard}}"),
        ),
        chart(
            "Rejected requests by status",
            "suffix: requests/s",
            "Requests refused before they became turns, of the whole pool. The chosen tenant does not matter. 401: wrong or old "
            "key. 404, 405: wrong URL. 408: a slow sender. 413: too large.",
            Query(promql.per_second("firstword_rejected_requests_total", POD, "status"), "{{status}}"),
            width=12,
        ),
        chart(
            "Turn duration",
            "s",
            "Time from the request's arrival to the end of the answer. If it grows while the first word is in time, answers are "
            "longer, or the engine generates more slowly (Engine, Time per output token).",
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
            "Stages until the first token, of the whole pool. The chosen tenant does not matter. wait: no free slot, see "
            "Capacity. prefill: long or uncached prompts, see Engine. read: slow senders. render: long histories or little CPU.",
            Query(promql.quantile(0.95, stage, POD, "stage"), "{{stage}}"),
            width=12,
        ),
        chart(
            "Time in each stage (p50)",
            "s",
            "The same for half of the turns. If only p95 is high, few turns are slow: look at their log lines.",
            Query(promql.quantile(0.5, stage, POD, "stage"), "{{stage}}"),
            width=12,
        ),
        chart(
            "Gaps between frames",
            "s",
            "Time between two frames of a stream. Above about 250 ms callers hear pauses. The cause is too many turns at once, "
            "or long prompts within the steps.",
            *percentiles("firstword_frame_gap_seconds", POD),
            width=12,
        ),
        chart(
            "Time per output token",
            "s",
            "The dashed line is the bound that admission keeps. Above it, steps are slower than admission measured: see Engine.",
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
            "Tokens generated for callers who had hung up. More than a few per hang-up: a proxy does not pass the hang-up on "
            "(docs/operations.md, When the caller speaks over the agent).",
            Query(promql.some(promql.per_second("firstword_wasted_tokens_total", TENANT, "tenant")), "{{tenant}}"),
        ),
        chart(
            "Cached prompt tokens by tenant",
            "percentunit",
            "Share of prompt tokens found in the prefix cache. If it is low in long calls, the platform changes earlier "
            "messages, or the turns of one call go to different replicas.",
            Query(promql.known(f"{cached} / {prompt}"), "{{tenant}}"),
        ).max(1),
        chart(
            "Tokens by tenant",
            "suffix: tokens/s",
            "Tokens of finished turns. If only one tenant grows while others wait, check its weight and its limits.",
            Query(promql.some(prompt), "{{tenant}} prompt"),
            Query(promql.some(completion), "{{tenant}} completion"),
        ),
    ]


def _output() -> list[Builder[Panel]]:
    thoughts = promql.per_second("firstword_reasoning_tokens_total", TENANT, "tenant")
    completion = promql.per_second("firstword_completion_tokens_total", TENANT, "tenant")
    return [
        chart(
            "Dropped tool calls by reason",
            "suffix: calls/s",
            "Tool calls of the model that were not passed on. unknown_function: the model calls what was not offered, so check "
            "the agent's tools and prompt. malformed: a call that cannot be read, so check the format (docs/models.md).",
            Query(promql.per_second("firstword_dropped_calls_total", TENANT, "reason"), "{{reason}}"),
            stacked=True,
        ),
        chart(
            "Reasoning tokens by tenant",
            "percentunit",
            "Share of completion tokens that were thoughts. Callers wait for them and never hear them. If it is not 0, the model "
            "thinks: see FIRSTWORD_THINKING, and what the tenant's requests ask for (docs/models.md).",
            Query(promql.known(f"{thoughts} / {completion}"), "{{tenant}}"),
        ).max(1),
        chart(
            "Unproven format",
            "none",
            "1 if the model is served although its format of tool calls or thoughts is not proven. Then markup may be spoken "
            "and calls may be lost. The log says why at the start of the pod (docs/models.md).",
            Query(promql.by_pod("firstword_unproven_format", of="max"), "{{pod}}"),
        ),
    ]
