"""Voice SLO: how early callers hear the first word, and what became of the turns that did not get it in time."""

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from deploy.dashboards import names, promql, voice_turns
from deploy.dashboards.filters import POD, TENANT
from deploy.dashboards.names import AVAILABILITY_OBJECTIVE, BURNS, OBJECTIVE
from deploy.dashboards.page import page
from deploy.dashboards.panels import BAD, GOOD, WARN, Query, chart, density, number, percentiles

TTFT = "firstword_ttft_seconds"
SENTENCE = "firstword_first_sentence_seconds"


def build() -> Dashboard:
    why = "How early callers hear the first word, for each tenant, and what became of the turns that were not in time."
    rows = [
        ("Now", _now()),
        ("Time to the first word", _first_word()),
        ("Time to the first sentence", _first_sentence()),
        ("Objective", _objective()),
        *voice_turns.rows(),
    ]
    return page(names.VOICE_SLO, "Firstword: Voice SLO", why, rows, with_tenant=True)


def _budget() -> Query:
    return Query(promql.gauge("firstword_ttft_budget_seconds", POD, "pool", of="max"), "budget {{pool}}")


def _now() -> list[Builder[Panel]]:
    budget_left = f"1 - {promql.burn(TENANT, '30d')}"
    return [
        number(
            "Turns on time now",
            "percentunit",
            "On time, of the turns that were ours to answer: on time, late, refused for want of capacity, failed. Below "
            f"{OBJECTIVE:.0%}: see below whether turns are late, refused or failing, then the dashboards Engine and Capacity.",
            Query(promql.sli(TENANT), "on time"),
            steps={None: BAD, 0.9: WARN, OBJECTIVE: GOOD},
        ),
        number(
            "Error budget left, 30 days",
            "percentunit",
            f"What is left of the {1 - OBJECTIVE:.0%} of turns that may miss within 30 days. Below 0 the objective is missed: "
            "stop risky changes, add capacity first. Prometheus must keep 30 days for it to be true.",
            Query(budget_left, "left", is_instant=True),
            steps={None: BAD, 0: WARN, 0.25: GOOD},
        ),
        _first_word_now(),
        number(
            "Turns offered",
            "suffix: turns/s",
            "Valid turns as they arrive, those then refused included. Nothing at all in the middle of a day: look at the "
            "platform's configured URL and at the proxy, not here.",
            Query(promql.per_second("firstword_turns_offered_total", TENANT), "offered"),
            width=6,
        ),
    ]


def _first_word_now() -> stat.Panel:
    return number(
        "First word now",
        "s",
        "Time from a request's arrival to its first word. A high p99 beside a good p50 is a queue or long prompts; all three "
        "high is a slow engine.",
        *percentiles(TTFT, TENANT),
        width=10,
    )


def _first_word() -> list[Builder[Panel]]:
    return [
        chart(
            "First word, all tenants",
            "s",
            "The dashed line is the budget that a turn has where nothing else is said. Above it: see Where the time goes.",
            *percentiles(TTFT, TENANT),
            _budget(),
            limit="^budget",
        ),
        _by_tenant("First word for half of the turns (p50)", TTFT, 0.5, _budget()),
        _by_tenant("First word for 95 % of the turns (p95)", TTFT, 0.95, _budget()),
        density(
            "How first words spread",
            "s",
            "Each column is a moment, each band a bucket of the time to the first word. Two bright bands mean two kinds of "
            "turns: those whose prompt was in the prefix cache, and those computed anew.",
            Query(promql.added(f"{TTFT}_bucket", TENANT, "le"), "{{le}}"),
        ),
    ]


def _by_tenant(title: str, histogram: str, share: float, *more: Query) -> timeseries.Panel:
    why = (
        "One tenant far above the others has longer prompts, no warm system prompt, or a lower priority: compare its tokens "
        "below and its entry in the key file."
    )
    by_tenant = Query(promql.known(promql.quantile(share, histogram, TENANT, "tenant")), "{{tenant}}")
    return chart(title, "s", why, by_tenant, *more, limit="^budget" if more else None)


def _first_sentence() -> list[Builder[Panel]]:
    why = (
        "When a voice can start to speak. Far above the first word with that one in time: the model generates slowly (Engine, "
        "time per output token) or its first sentences are long."
    )
    return [
        chart("First sentence, all tenants", "s", why, *percentiles(SENTENCE, TENANT)),
        _by_tenant("First sentence for half of the turns (p50)", SENTENCE, 0.5),
        _by_tenant("First sentence for 95 % of the turns (p95)", SENTENCE, 0.95),
    ]


def _objective() -> list[Builder[Panel]]:
    burns = [Query(promql.burn(TENANT, window), window) for window in ("5m", "30m", "6h")]
    answered = "on_time|late"
    return [
        chart(
            "Turns on time",
            "percentunit",
            f"Goodput. The dashed line is the objective, {OBJECTIVE:.0%}. One tenant below it alone: its prompts or its limits. "
            "All of them: the engine or too much load.",
            Query(promql.sli(TENANT), "all"),
            Query(promql.known(promql.sli(TENANT, "tenant")), "{{tenant}}"),
            lines={OBJECTIVE: BAD},
        ).max(1),
        chart(
            "Turns answered",
            "percentunit",
            f"Availability: answered, on time or late. The dashed line is the objective, {AVAILABILITY_OBJECTIVE:.1%}. Below it "
            "turns are refused or fail: the panels below say which and why.",
            Query(promql.sli(TENANT, good=answered), "all"),
            Query(promql.known(promql.sli(TENANT, "tenant", good=answered)), "{{tenant}}"),
            lines={AVAILABILITY_OBJECTIVE: BAD},
        ).max(1),
        chart(
            "Error budget burn",
            "suffix:x",
            "How many times faster than the objective allows turns miss it; 1 spends the budget in just 30 days. An alert fires "
            "where 5m and 30m are above the red line, or 30m and 6h above the orange one.",
            *burns,
            lines={float(burn): color for burn, color in BURNS.items()},
        ),
    ]
