"""The server's counters during the run (`firstword_*` at /metrics), and their disagreements with the client's counts."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import gevent  # type: ignore[import-untyped]
from geventhttpclient.response import HTTPParseError
from prometheus_client.parser import text_string_to_metric_families

from loadtest.calls.tally import totals
from loadtest.calls.target import Line, Target

Counts = dict[str, float]
UNREADABLE = "server metrics could not be read"
_NO_URL = "--server-metrics must be a URL such as http://127.0.0.1:8000/metrics"
_READ_S = 5.0
_TTFT = "firstword_ttft_seconds"
_COUNTED = {
    f"{_TTFT}_count": "heard",
    f"{_TTFT}_sum": "ttft_sum_s",
    "firstword_refusals_total": "refused",
    "firstword_completion_tokens_total": "completion_tokens",
}
_SHARE_LIMIT = 0.02
"""Highest relative difference of the counts and of the mean TTFT that is not a disagreement."""
_TTFT_LIMIT_S = 0.02
"""Highest difference of the mean TTFT, in seconds, that is not a disagreement: time of the network and of the client."""


@dataclass(frozen=True)
class Look:
    """One reading of the server's counts."""

    counts: Counts | None
    problem: str = ""
    """Why the named metrics could not be read. It does not contain their URL, which may hold a secret."""


class _Unreadable(Exception):
    """The metrics cannot be read. The message says why."""


def look(target: Target, url: str, key: str) -> Look:
    """Read the server's counts. If `url` is empty, read /metrics of the endpoint, where missing metrics are not a problem."""
    try:
        return Look(_read(target, url or f"{target.base}/metrics", key))
    except _Unreadable as why:
        return Look(None, f"{UNREADABLE}: {why}" if url else "")


def _read(target: Target, url: str, key: str) -> Counts:
    """Read the counts, each summed over all its series. Raises `_Unreadable` if there are none."""
    try:
        parts, own = urlsplit(url), urlsplit(target.base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise _Unreadable(_NO_URL)
        # The key must not go to any host but the endpoint.
        key = key if (parts.scheme, parts.netloc) == (own.scheme, own.netloc) else ""
        line = Line(replace(target, host=f"{parts.scheme}://{parts.netloc}"), key, silence_s=_READ_S)
    except ValueError:
        raise _Unreadable(_NO_URL) from None
    try:
        with closing(line), gevent.Timeout(_READ_S, TimeoutError()):
            status, body = line.get(urlunsplit(("", "", parts.path or "/metrics", parts.query, "")))
    except (OSError, HTTPParseError, ValueError) as error:
        raise _Unreadable(f"no answer ({type(error).__name__})") from None
    if status != 200:
        raise _Unreadable(f"the answer has status {status}")
    try:
        counts = counts_of(body.decode())
    except (ValueError, LookupError):
        raise _Unreadable("the answer is not in Prometheus's text format") from None
    if counts is None:
        raise _Unreadable("the answer has no firstword_* metrics")
    return counts


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


def client_counts(seen: dict[str, Any]) -> Counts:
    """The client's counts from the record: `heard`, `ttft_sum_s`, `completion_tokens`, and turns `refused` and `cut`."""
    outcomes = totals(seen["counts"]["turns"], "outcome")
    ended = {name: float(outcomes.get(name, 0)) for name in ("refused", "cut")}
    return ended | {name: seen["totals"][name] for name in ("heard", "ttft_sum_s", "completion_tokens")}


def compare(before: Look, after: Look, client: Counts, ttft_budget_s: float) -> dict[str, Any] | None:
    """Compare the server's counts with the client's.

    Returns both, sentences on their disagreements, and `remarks` on settings that differ. None: the server has no counts.
    """
    if problem := before.problem or after.problem:
        return {"server": {}, "client": {}, "disagreements": [], "remarks": [], "problem": problem}
    if before.counts is None or after.counts is None:
        return None
    server = {name: value - before.counts.get(name, 0.0) for name, value in after.counts.items() if name != "ttft_budget_s"}
    # The client does not know what the server counted for a turn that was cut at the end.
    least = 1.0 + client["cut"]
    reported = [
        f"{words}: {server.get(name, 0):.0f} by the server, {client[name]:.0f} by the client"
        for name, words in {"heard": "turns with a first token", "refused": "turns refused"}.items()
        if _differ(server.get(name, 0.0), client[name], least)
    ]
    if reported:
        reported[-1] += " (possible causes: other clients, or several replicas)"
    elif client["heard"]:
        reported += _ttft_apart(server, client)
    remarks = _budgets_apart(after.counts.get("ttft_budget_s"), ttft_budget_s)
    return {"server": server, "client": client, "disagreements": reported, "remarks": remarks, "problem": ""}


def _budgets_apart(servers_s: float | None, runs_s: float) -> list[str]:
    """A remark if the server's TTFT budget differs from the run's. This is not a disagreement of counts."""
    if servers_s is None or servers_s == runs_s:
        return []
    return [
        f"the server's TTFT budget is {servers_s:g} s and this run's is {runs_s:g} s, so each counts other turns as on time:"
        f" set FIRSTWORD_TTFT_BUDGET_S={runs_s:g} on the server, or run with --ttft-budget-s {servers_s:g}"
    ]


def _ttft_apart(server: Mapping[str, float], client: Counts) -> list[str]:
    means = {side: counts["ttft_sum_s"] / counts["heard"] for side, counts in (("server", server), ("client", client))}
    if not _differ(means["server"], means["client"], _TTFT_LIMIT_S):
        return []
    return [
        f"mean TTFT: {means['server']:.3f} s by the server, {means['client']:.3f} s by the client"
        " (the difference is network or proxy between them)"
    ]


def _differ(one: float, other: float, least: float) -> bool:
    return abs(one - other) > max(least, _SHARE_LIMIT * max(one, other))


def _outcome(name: str, labels: Mapping[str, str]) -> str:
    return f"outcome_{labels['outcome']}" if name == "firstword_turns_total" else ""


def _bucket(name: str, labels: Mapping[str, str]) -> str:
    return f"ttft_le_{labels['le']}" if name == f"{_TTFT}_bucket" else ""
