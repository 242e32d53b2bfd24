"""PromQL expressions that several panels use."""

from deploy.dashboards import filters
from deploy.dashboards.names import OBJECTIVE

WINDOW = "$__rate_interval"
"""Grafana's rate interval, which is never shorter than four scrapes."""

VALID = "on_time|late|refused_capacity|failed"
"""The outcomes that count in the SLI. A tenant's own limit, a client's mistake or a hang-up does not count."""


def summed(by: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(by)})" if by else "sum"


def per_second(counter: str, labels: str, *by: str, window: str = WINDOW) -> str:
    return f"{summed(by)} (rate({counter}{{{labels}}}[{window}]))"


def added(counter: str, labels: str, *by: str, window: str = WINDOW) -> str:
    """The increase of a counter within the window."""
    return f"{summed(by)} (increase({counter}{{{labels}}}[{window}]))"


def quantile(share: float, histogram: str, labels: str, *by: str) -> str:
    return f"histogram_quantile({share}, {per_second(f'{histogram}_bucket', labels, 'le', *by)})"


def known(expr: str) -> str:
    """Drop NaN. A share or percentile of no turns is NaN, and would only fill the legend."""
    return f"{expr} >= 0"


def some(expr: str) -> str:
    """Drop series at 0, so that idle tenants do not fill the legend."""
    return f"{expr} > 0"


def gauge(metric: str, labels: str, *by: str, of: str = "sum") -> str:
    return f"{of} by ({', '.join(by)}) ({metric}{{{labels}}})" if by else f"{of} ({metric}{{{labels}}})"


def by_pod(metric: str, labels: str = filters.POD, of: str = "sum") -> str:
    return gauge(metric, labels, "pool", "pod", of=of)


def sli(labels: str, *by: str, window: str = WINDOW, good: str = "on_time") -> str:
    """Goodput: turns on time, as a share of the valid turns. `good` selects other outcomes to count as good."""
    well = per_second("firstword_turns_total", f'{labels}, outcome=~"{good}"', *by, window=window)
    valid = per_second("firstword_turns_total", f'{labels}, outcome=~"{VALID}"', *by, window=window)
    return f"{well} / {valid}"


def burn(labels: str, window: str) -> str:
    """The burn rate: how many times faster than the objective allows the error budget is spent."""
    return f"(1 - {sli(labels, window=window)}) / (1 - {OBJECTIVE})"


def with_pool(expr: str, name_label: str, pattern: str) -> str:
    """Add the label `pool`, taken from a name. Grafana does not replace `$2`, because no variable has that name."""
    return f'label_replace({expr}, "pool", "$2", "{name_label}", "{pattern}")'


def of_deployment(metric: str) -> str:
    named = with_pool(f"{metric}{{{filters.DEPLOYMENT}}}", "deployment", filters.POOL)
    return f"sum by (pool) ({named})"


def of_autoscaler(metric: str, more: str = "") -> str:
    labels = f"{filters.AUTOSCALER}, {more}" if more else filters.AUTOSCALER
    named = with_pool(f"{metric}{{{labels}}}", "horizontalpodautoscaler", filters.POOL)
    return f"max by (pool) ({named})"


def of_gpus(metric: str) -> str:
    """A metric of the DCGM exporter for each GPU of our pods, whether or not the scrape honors labels."""
    exported = f"{metric}{{{filters.named_pods('exported_')}}}"
    for label in ("namespace", "pod"):
        exported = f'label_replace({exported}, "{label}", "$1", "exported_{label}", "(.+)")'
    either = f"({metric}{{{filters.named_pods()}}} or {exported})"
    return f"max by (pool, pod, Hostname, gpu) ({with_pool(either, 'pod', filters.POD_POOL)})"
