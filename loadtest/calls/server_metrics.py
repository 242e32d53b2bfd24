"""What the server counted meanwhile (`firstword_*` at /metrics), and where it disagrees with the client."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from geventhttpclient.response import HTTPParseError
from prometheus_client.parser import text_string_to_metric_families

from loadtest.calls.record import Sample
from loadtest.calls.rows import column
from loadtest.calls.target import Line, Target

Counts = dict[str, float]
_TTFT = "firstword_ttft_seconds"
_COUNTED = {
    f"{_TTFT}_count": "heard",
    f"{_TTFT}_sum": "ttft_sum_s",
    "firstword_refusals_total": "refused",
    "firstword_completion_tokens_total": "completion_tokens",
}
_SHARE_LIMIT = 0.02
"""Counts, and the mean TTFT, may differ by so much."""
_TTFT_LIMIT_S = 0.02
"""And the mean TTFT by this: the network's, and the client's own time."""


def read(target: Target, url: str, key: str) -> Counts | None:
    """The sums over all series of what is counted; None where there is nothing of ours. `url` empty: beside the endpoint."""
    parts, own = urlsplit(url or f"{target.base}/metrics"), urlsplit(target.base)
    # The key is for the endpoint alone.
    key = key if (parts.scheme, parts.netloc) == (own.scheme, own.netloc) else ""
    try:
        with closing(Line(replace(target, host=f"{parts.scheme}://{parts.netloc}"), key, silence_s=5)) as line:
            status, body = line.get(parts.path or "/metrics")
        return counts_of(body.decode()) if status == 200 else None
    except (OSError, HTTPParseError, ValueError):
        return None


def counts_of(text: str) -> Counts | None:
    counts: Counts = {}
    for family in text_string_to_metric_families(text):
        if not family.name.startswith("firstword_"):
            continue
        for sample in family.samples:
            if name := _COUNTED.get(sample.name) or _outcome(sample.name, sample.labels) or _bucket(sample.name, sample.labels):
                counts[name] = counts.get(name, 0.0) + sample.value
            elif sample.name == "firstword_ttft_budget_seconds":
                counts["ttft_budget_s"] = sample.value
    return counts or None


def compare(before: Counts | None, after: Counts | None, turns: Sample, ttft_budget_s: float) -> dict[str, Any] | None:
    """The server's counts and the client's beside each other, and in words where they disagree."""
    if before is None or after is None or turns.seen > len(turns.rows):  # A sample cannot be counted against.
        return None
    server = {name: value - before.get(name, 0.0) for name, value in after.items() if name != "ttft_budget_s"}
    ttfts = [ttft for ttft in column(turns.rows, "ttft_s") if ttft is not None]
    outcomes = column(turns.rows, "outcome")
    client: Counts = {
        "heard": len(ttfts),
        "refused": outcomes.count("refused"),
        "completion_tokens": sum(column(turns.rows, "completion_tokens")),
        "ttft_sum_s": sum(ttfts),
    }
    # Of a turn cut at the end nobody waited to hear what became of it.
    least = 1.0 + outcomes.count("cut")
    told = [
        f"{words}: {server.get(name, 0):.0f} by the server, {client[name]:.0f} by the client"
        for name, words in {"heard": "turns with a first word", "refused": "turns refused"}.items()
        if _differ(server.get(name, 0.0), client[name], least)
    ]
    if told:
        told[-1] += " (others call too, or there are several replicas?)"
    elif client["heard"]:
        told += _ttft_apart(server, client)
    if (budget := after.get("ttft_budget_s")) is not None and budget != ttft_budget_s:
        told.append(
            f"the server's TTFT budget is {budget:g} s, this run's {ttft_budget_s:g} s: they mean different things by on time"
        )
    return {"server": server, "client": client, "disagreements": told}


def _ttft_apart(server: Mapping[str, float], client: Counts) -> list[str]:
    means = {side: counts["ttft_sum_s"] / counts["heard"] for side, counts in (("server", server), ("client", client))}
    if not _differ(means["server"], means["client"], _TTFT_LIMIT_S):
        return []
    return [f"mean TTFT: {means['server']:.3f} s by the server, {means['client']:.3f} s by the client: the rest is between them"]


def _differ(one: float, other: float, least: float) -> bool:
    return abs(one - other) > max(least, _SHARE_LIMIT * max(one, other))


def _outcome(name: str, labels: Mapping[str, str]) -> str:
    return f"outcome_{labels['outcome']}" if name == "firstword_turns_total" else ""


def _bucket(name: str, labels: Mapping[str, str]) -> str:
    return f"ttft_le_{labels['le']}" if name == f"{_TTFT}_bucket" else ""
