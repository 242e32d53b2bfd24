"""The measures of a run, computed from its record, and the table at the end. Pure: no clock, no network."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from loadtest.calls.tally import totals

PERCENTS = (50, 90, 95, 99)
TIMED = {
    "ttft_s": "TTFT",
    "first_chunk_s": "TTFT by first chunk",
    "first_sentence_s": "first sentence",
    "tpot_s": "TPOT",
    "duration_s": "turn",
}


STANDINGS = ("on_time", "late", "refused", "failed", "cut")


def measures(seen: dict[str, Any], run_s: float) -> dict[str, Any]:
    """Compute the measures. `seen`: the record, or the merged reports. Counts are of all turns; times are of the kept rows."""
    turns = [dict(zip(seen["turns"]["columns"], row, strict=True)) for row in seen["turns"]["rows"]]
    counts, calls = seen["counts"]["turns"], seen["counts"]["calls"]
    standing, outcomes = totals(counts, "standing"), totals(counts, "outcome")
    answered = [turn for turn in turns if turn["outcome"] == "answered"]
    return {
        "turns": seen["turns"]["seen"],
        "turns_kept": len(turns),
        "goodput_per_s": standing.get("on_time", 0) / run_s if run_s else 0.0,
        "on_time_share": _on_time_share(standing),
        **{name: standing.get(name, 0) for name in STANDINGS},
        "barged_in": outcomes.get("barged-in", 0),
        "hung_up": outcomes.get("hung-up", 0),
        "refusals": totals(counts, "reason", outcome="refused"),
        "errors": totals(counts, "reason", outcome="failed"),
        "calls": totals(calls, "outcome"),
        "tokens": {name: seen["totals"][name] for name in ("prompt_tokens", "cached_tokens", "completion_tokens")},
        "times": {name: percentiles(_known(turns if name != "duration_s" else answered, name)) for name in TIMED},
        "itl": _itl(seen["itl"]),
        "refusal_s": percentiles(_known([turn for turn in turns if turn["outcome"] == "refused"], "duration_s")),
        "by_tenant": {tenant: _of_tenant(tenant, counts, turns) for tenant in sorted(totals(counts, "tenant"))},
    }


def standing_of(turn: dict[str, Any], ttft_budget_s: float) -> str:
    """How a turn counts: on_time, late, refused, failed or cut. Each turn counts once.

    `cut` means that the run ended before the result was known. A turn whose budget had passed by then is late. A turn whose first
    token had come in time is cut, because it could still have failed.
    """
    if turn["outcome"] in ("refused", "failed"):
        return str(turn["outcome"])
    if turn["on_time"]:
        return "on_time"
    if turn["outcome"] == "cut":
        waited_s = turn["ttft_s"] if turn["ttft_s"] is not None else turn["duration_s"] or 0.0
        return "late" if waited_s > ttft_budget_s else "cut"
    return "late"


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Nearest-rank percentiles, mean, maximum and count. Empty if there are no values."""
    if not values:
        return {}
    ordered = sorted(values)
    of = {f"p{percent}": ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] for percent in PERCENTS}
    return {"mean": sum(ordered) / len(ordered), **of, "max": ordered[-1], "count": len(ordered)}


def _itl(itl: dict[str, Any]) -> dict[str, float]:
    """Percentiles from the histogram, with the 5 % precision of its buckets."""
    if not itl["count"]:
        return {}
    found, passed, wanted = {}, 0, list(PERCENTS)
    for edge_s, count in zip(itl["edges_s"], itl["counts"], strict=True):
        passed += count
        while wanted and passed >= math.ceil(itl["count"] * wanted[0] / 100):
            found[f"p{wanted.pop(0)}"] = edge_s
    return {"mean": itl["sum_s"] / itl["count"], **found, "max": itl["edges_s"][-1], "count": itl["count"]}


def _on_time_share(standing: dict[str, int]) -> float | None:
    ended = sum(count for name, count in standing.items() if name != "cut")
    return standing.get("on_time", 0) / ended if ended else None


def _of_tenant(tenant: str, counts: dict[str, Any], turns: list[dict[str, Any]]) -> dict[str, Any]:
    standing = totals(counts, "standing", tenant=tenant)
    ttft_s = percentiles(_known([turn for turn in turns if turn["tenant"] == tenant], "ttft_s"))
    return {"turns": sum(standing.values()), "on_time_share": _on_time_share(standing), "ttft_s": ttft_s}


def _known(turns: list[dict[str, Any]], name: str) -> list[float]:
    return [turn[name] for turn in turns if turn[name] is not None]


def show(record: dict[str, Any], console: Console) -> None:
    """Print the table at the end of a run."""
    found, validity = record["summary"], record["validity"]
    share = "–" if found["on_time_share"] is None else f"{found['on_time_share']:.1%}"
    calls = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found["calls"].items())) or "none"
    console.print(
        f"\n[bold]{record['scenario']}[/bold], {record['run_s']:.0f} s, seed {record['settings']['seed']}", highlight=False
    )
    lines = {
        "goodput": f"{found['goodput_per_s']:.2f} turns/s on time, {share} of those that ended",
        "turns": ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in STANDINGS),
        "calls": calls,
        "refusals": _counts(found["refusals"]),
        "errors": _counts(found["errors"]),
        "tokens": ", ".join(f"{count} {name.split('_')[0]}" for name, count in found["tokens"].items()),
    }
    if len(found["by_tenant"]) > 1:
        lines |= {tenant: _tenant(of) for tenant, of in found["by_tenant"].items()}
    for name, reported in lines.items():
        console.print(f"  {name:10} {reported}", highlight=False)
    console.print(_times(found))
    if found["turns_kept"] < found["turns"]:
        kept = f"a sample of {found['turns_kept']} of {found['turns']} turns (--record-rows)"
        console.print(f"  times are from {kept}; ITL and counts are of all turns", highlight=False)
    _show_server(record["server"] or {}, console)
    if validity["is_valid"]:
        console.print("  valid: the client kept up", highlight=False)
        return
    console.print("  [bold red]INVALID[/bold red]: this run says nothing about the server.", highlight=False)
    for doubt in validity["doubts"]:
        console.print(f"  - {doubt}", highlight=False, markup=False)


def _show_server(server: dict[str, Any], console: Console) -> None:
    if problem := server.get("problem"):
        console.print(f"  {problem}", highlight=False, markup=False)
    for reported in server.get("disagreements", ()):
        console.print(f"  Server and client disagree: {reported}", highlight=False)
    for reported in server.get("remarks", ()):
        console.print(f"  Note: {reported}", highlight=False)


def _times(found: dict[str, Any]) -> Table:
    table = Table("seconds", *[f"p{percent}" for percent in PERCENTS], "mean", "count", box=None)
    rows = {words: found["times"][name] for name, words in TIMED.items()}
    if not _differs(found["times"]):
        del rows[TIMED["first_chunk_s"]]
    for words, of in {**rows, "ITL": found["itl"], "refusal": found["refusal_s"]}.items():
        if of:
            figures = [of[f"p{percent}"] for percent in PERCENTS] + [of["mean"]]
            table.add_row(words, *[f"{figure:.4f}" if figure < 0.1 else f"{figure:.3f}" for figure in figures], str(of["count"]))
    return table


def _differs(times: dict[str, dict[str, float]]) -> bool:
    """Whether our mean TTFT and that of `vllm bench serve` differ by more than 1 ms, because of an early empty chunk."""
    ours, theirs = times["ttft_s"], times["first_chunk_s"]
    return bool(ours and theirs) and abs(ours["mean"] - theirs["mean"]) > 0.001


def _counts(of: dict[str, int]) -> str:
    return ", ".join(f"{count} × {reason}" for reason, count in of.items()) or "none"


def _tenant(of: dict[str, Any]) -> str:
    share, ttft = of["on_time_share"], of["ttft_s"]
    reported = f"{of['turns']} turns, {'–' if share is None else f'{share:.1%}'} on time"
    return reported + (f", TTFT p50 {ttft['p50']:.3f} s, p99 {ttft['p99']:.3f} s" if ttft else "")
