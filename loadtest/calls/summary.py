"""The measures of a run, from its record; and the table at the end. Pure: no clock, no network."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

PERCENTS = (50, 90, 95, 99)
TIMED = {
    "ttft_s": "TTFT",
    "first_chunk_s": "TTFT by first chunk",
    "first_sentence_s": "first sentence",
    "tpot_s": "TPOT",
    "duration_s": "turn",
}


def measures(seen: dict[str, Any], run_s: float, ttft_budget_s: float) -> dict[str, Any]:
    """`seen`: the record, or the part of it that the workers told."""
    turns = [dict(zip(seen["turns"]["columns"], row, strict=True)) for row in seen["turns"]["rows"]]
    calls = [dict(zip(seen["calls"]["columns"], row, strict=True)) for row in seen["calls"]["rows"]]
    whole = seen["turns"]["seen"] / len(turns) if turns else 1.0  # Above 1 where the rows are a sample.
    standing = Counter(standing_of(turn, ttft_budget_s) for turn in turns)
    counted = len(turns) - standing["cut"]
    answered = [turn for turn in turns if turn["outcome"] == "answered"]
    return {
        "turns": seen["turns"]["seen"],
        "goodput_per_s": standing["on_time"] * whole / run_s if run_s else 0.0,
        "on_time_share": standing["on_time"] / counted if counted else None,
        **{name: round(standing[name] * whole) for name in ("on_time", "late", "refused", "failed", "cut")},
        "barged_in": round(sum(turn["outcome"] == "barged-in" for turn in turns) * whole),
        "hung_up": round(sum(turn["outcome"] == "hung-up" for turn in turns) * whole),
        "refusals": _reasons(turns, "refused"),
        "errors": _reasons(turns, "failed"),
        "calls": dict(Counter(call["outcome"] for call in calls)),
        "tokens": {name: sum(turn[name] for turn in turns) for name in ("prompt_tokens", "cached_tokens", "completion_tokens")},
        "times": {name: percentiles(_known(turns if name != "duration_s" else answered, name)) for name in TIMED},
        "itl": _itl(seen["itl"]),
        "refusal_s": percentiles(_known([turn for turn in turns if turn["outcome"] == "refused"], "duration_s")),
        "by_tenant": _by_tenant(turns, ttft_budget_s),
    }


def standing_of(turn: dict[str, Any], ttft_budget_s: float) -> str:
    """on_time, late, refused, failed; `cut`: the run ended before it could be told."""
    if turn["outcome"] in ("refused", "failed"):
        return str(turn["outcome"])
    if turn["on_time"]:
        return "on_time"
    if turn["outcome"] == "cut":
        waited_s = turn["ttft_s"] if turn["ttft_s"] is not None else turn["duration_s"] or 0.0
        return "late" if waited_s > ttft_budget_s else "cut"
    return "late"


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """The smallest value that so many percent do not exceed; and the mean. Empty of none."""
    if not values:
        return {}
    ordered = sorted(values)
    of = {f"p{percent}": ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] for percent in PERCENTS}
    return {"mean": sum(ordered) / len(ordered), **of, "max": ordered[-1], "count": len(ordered)}


def _itl(itl: dict[str, Any]) -> dict[str, float]:
    """To the 5 % of its buckets."""
    if not itl["count"]:
        return {}
    found, passed, wanted = {}, 0, list(PERCENTS)
    for edge_s, count in zip(itl["edges_s"], itl["counts"], strict=True):
        passed += count
        while wanted and passed >= math.ceil(itl["count"] * wanted[0] / 100):
            found[f"p{wanted.pop(0)}"] = edge_s
    return {"mean": itl["sum_s"] / itl["count"], **found, "max": itl["edges_s"][-1], "count": itl["count"]}


def _reasons(turns: list[dict[str, Any]], outcome: str) -> dict[str, int]:
    return dict(Counter(turn["reason"] or "unknown" for turn in turns if turn["outcome"] == outcome).most_common())


def _by_tenant(turns: list[dict[str, Any]], ttft_budget_s: float) -> dict[str, Any]:
    found = {}
    for tenant in sorted({turn["tenant"] for turn in turns}):
        own = [turn for turn in turns if turn["tenant"] == tenant]
        standing = Counter(standing_of(turn, ttft_budget_s) for turn in own)
        counted = len(own) - standing["cut"]
        share = standing["on_time"] / counted if counted else None
        found[tenant] = {"turns": len(own), "on_time_share": share, "ttft_s": percentiles(_known(own, "ttft_s"))}
    return found


def _known(turns: list[dict[str, Any]], name: str) -> list[float]:
    return [turn[name] for turn in turns if turn[name] is not None]


def show(record: dict[str, Any], console: Console) -> None:
    """The table at the end."""
    found, validity = record["summary"], record["validity"]
    share = "–" if found["on_time_share"] is None else f"{found['on_time_share']:.1%}"
    calls = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found["calls"].items())) or "none"
    console.print(
        f"\n[bold]{record['scenario']}[/bold], {record['run_s']:.0f} s, seed {record['settings']['seed']}", highlight=False
    )
    lines = {
        "goodput": f"{found['goodput_per_s']:.2f} turns/s on time, {share} of those that ended",
        "turns": ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in ("on_time", "late", "refused", "failed", "cut")),
        "calls": calls,
        "refusals": _counts(found["refusals"]),
        "errors": _counts(found["errors"]),
        "tokens": ", ".join(f"{count} {name.split('_')[0]}" for name, count in found["tokens"].items()),
    }
    if len(found["by_tenant"]) > 1:
        lines |= {tenant: _tenant(of) for tenant, of in found["by_tenant"].items()}
    for name, told in lines.items():
        console.print(f"  {name:10} {told}", highlight=False)
    console.print(_times(found))
    for told in (record["server"] or {}).get("disagreements", ()):
        console.print(f"  Server and client disagree: {told}", highlight=False)
    if validity["is_valid"]:
        console.print("  valid: the client kept up", highlight=False)
        return
    console.print("  [bold red]INVALID[/bold red]: this run says nothing about the server.", highlight=False)
    for doubt in validity["doubts"]:
        console.print(f"  - {doubt}", highlight=False, markup=False)


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
    """Whether an empty chunk came so early that the TTFT of `vllm bench serve` is another."""
    ours, theirs = times["ttft_s"], times["first_chunk_s"]
    return bool(ours and theirs) and abs(ours["mean"] - theirs["mean"]) > 0.001


def _counts(of: dict[str, int]) -> str:
    return ", ".join(f"{count} × {reason}" for reason, count in of.items()) or "none"


def _tenant(of: dict[str, Any]) -> str:
    share, ttft = of["on_time_share"], of["ttft_s"]
    told = f"{of['turns']} turns, {'–' if share is None else f'{share:.1%}'} on time"
    return told + (f", TTFT p50 {ttft['p50']:.3f} s, p99 {ttft['p99']:.3f} s" if ttft else "")
