"""The dashboard Voice SLO: time to the first word and first sentence, objectives, and outcomes of turns."""

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
    why = "Time to the first word and to the first sentence for each tenant, the objectives, and the outcomes of turns."
    rows = [
        ("Now", _now()),
        ("TTFT: time to the first word", _first_word()),
        ("Time to the first sentence", _first_sentence()),
        ("Objectives", _objective()),
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
            "Share of valid turns that were on time. Valid turns are on time, late, refused for lack of capacity, or failed. "
            f"Below {OBJECTIVE:.0%}: look below whether turns are late, refused or failed, then at the dashboards Engine and "
            "Capacity.",
            Query(promql.sli(TENANT), "on time"),
            steps={None: BAD, 0.9: WARN, OBJECTIVE: GOOD},
        ),
        number(
            "Error budget left, 30 days",
            "percentunit",
            f"Share that is left of the {1 - OBJECTIVE:.0%} of turns that may miss the objective within 30 days. Below 0 the "
            "objective is missed: stop risky changes and add capacity. Prometheus must keep 30 days of data.",
            Query(budget_left, "left", is_instant=True),
            steps={None: BAD, 0: WARN, 0.25: GOOD},
        ),
        _first_word_now(),
        number(
            "Turns offered",
            "suffix: turns/s",
            "Valid turns as they arrive, including those that are then refused. If there are none in the middle of a day, check "
            "the platform's configured URL and the proxy.",
            Query(promql.per_second("firstword_turns_offered_total", TENANT), "offered"),
            width=6,
        ),
    ]


def _first_word_now() -> stat.Panel:
    return number(
        "TTFT now",
        "s",
        "Time from a request's arrival to its first word. A high p99 with a good p50 means queueing or long prompts. If all "
        "three are high, the engine is slow.",
        *percentiles(TTFT, TENANT),
        width=10,
    )


def _first_word() -> list[Builder[Panel]]:
    return [
        chart(
            "TTFT, all tenants",
            "s",
            "The dashed line is the default TTFT budget of a turn. If TTFT is above it, see the row Stages and pace.",
            *percentiles(TTFT, TENANT),
            _budget(),
            limit="^budget",
        ),
        _by_tenant("TTFT by tenant (p50)", TTFT, 0.5, _budget()),
        _by_tenant("TTFT by tenant (p95)", TTFT, 0.95, _budget()),
        density(
            "TTFT distribution",
            "s",
            "Each column is a point in time, and each band is a bucket of TTFT. Two bright bands mean two kinds of turns: those "
            "whose prompt was in the prefix cache, and those whose prompt had to be computed.",
            Query(promql.added(f"{TTFT}_bucket", TENANT, "le"), "{{le}}"),
        ),
    ]


def _by_tenant(title: str, histogram: str, share: float, *more: Query) -> timeseries.Panel:
    why = (
        "A tenant far above the others has longer prompts, no cached system prompt, or a lower priority. Compare its tokens "
        "below and its entry in the key file."
    )
    by_tenant = Query(promql.known(promql.quantile(share, histogram, TENANT, "tenant")), "{{tenant}}")
    return chart(title, "s", why, by_tenant, *more, limit="^budget" if more else None)


def _first_sentence() -> list[Builder[Panel]]:
    why = (
        "Time until a voice can start to speak. If it is high while TTFT is in time, the engine generates slowly (Engine, Time "
        "per output token), or the model's first sentences are long."
    )
    return [
        chart("First sentence, all tenants", "s", why, *percentiles(SENTENCE, TENANT)),
        _by_tenant("First sentence by tenant (p50)", SENTENCE, 0.5),
        _by_tenant("First sentence by tenant (p95)", SENTENCE, 0.95),
    ]


def _objective() -> list[Builder[Panel]]:
    burns = [Query(promql.burn(TENANT, window), window) for window in ("5m", "30m", "6h")]
    answered = "on_time|late"
    return [
        chart(
            "Turns on time",
            "percentunit",
            f"Goodput. The dashed line is the objective, {OBJECTIVE:.0%}. If only one tenant is below it, look at its prompts "
            "and its limits. If all are below it, the engine is slow or the load is too high.",
            Query(promql.sli(TENANT), "all"),
            Query(promql.known(promql.sli(TENANT, "tenant")), "{{tenant}}"),
            lines={OBJECTIVE: BAD},
        ).max(1),
        chart(
            "Turns answered",
            "percentunit",
            f"Availability: turns answered on time or late. The dashed line is the objective, {AVAILABILITY_OBJECTIVE:.1%}. "
            "Below it, turns are refused or fail: the panels below show which and why.",
            Query(promql.sli(TENANT, good=answered), "all"),
            Query(promql.known(promql.sli(TENANT, "tenant", good=answered)), "{{tenant}}"),
            lines={AVAILABILITY_OBJECTIVE: BAD},
        ).max(1),
        chart(
            "Error budget burn rate",
            "suffix:x",
            "How many times faster than allowed the error budget is spent. 1 spends it in exactly 30 days. An alert fires if 5m "
            "and 30m are above the red line, or if 30m and 6h are above the orange line.",
            *burns,
            lines={float(burn): color for burn, color in BURNS.items()},
        ),
    ]
