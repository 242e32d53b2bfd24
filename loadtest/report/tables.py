"""The tables of the page: the numbers of each picture, and numbers without a picture."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.report import exact
from loadtest.report.figures import Figures, calls_of, figures_of
from loadtest.report.knee import Step
from loadtest.report.reading import Reading, Span, Turn
from loadtest.report.verdict import amount

SLOWEST = 12
REFUSED, FAILED = "refused", "failed"


@dataclass(frozen=True)
class Table:
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Bin:
    """A part of the run, for pictures and tables over time."""

    span: Span
    figures: Figures
    reasons: Counter[str]
    """Refusals and failures by reason, such as `refused: 503 overloaded`."""
    calls_at_once: float | None


def bins_of(reading: Reading) -> list[Bin]:
    return [_bin(reading, span) for span in reading.bins()]


def _bin(reading: Reading, span: Span) -> Bin:
    turns = [turn for turn in reading.turns if span.holds(turn.sent_s)]
    reasons = Counter(reason for turn in turns if (reason := _reason(turn)))
    return Bin(span, figures_of(reading, [span]), reasons, reading.mean_calls_at_once(span))


def _reason(of: Turn | exact.Turns) -> str:
    """Reason of a refusal or failure. Empty: the turn was neither refused nor failed."""
    if of.standing in ("refused", "limited"):
        return f"{REFUSED}: {of.reason or 'unknown'}"
    return f"{FAILED}: {of.reason or 'unknown'}" if of.standing == "failed" else ""


def latency_over_time(bins: Sequence[Bin]) -> Table:
    heads = ("from, s", "turns", "TTFT p50", "p95", "p99", "first sentence p95", "calls at once")
    return Table(heads, [[f"{each.span.begin_s:.0f}", str(each.figures.turns), *_times(each.figures), _number(each.calls_at_once)]
                         for each in bins])  # fmt: skip


def over_load(steps: Sequence[Step]) -> Table:
    heads = ("step", "from, s", "calls at once", "calls/s", "turns/s", "turns", "goodput", "TTFT p50", "p95", "p99",
             "first sentence p95", "TPOT p99", "refused", "failed", "held")  # fmt: skip
    return Table(heads, [_step(number, step) for number, step in enumerate(steps, 1)])


def _step(number: int, step: Step) -> list[str]:
    of = step.figures
    state = f"broke: {', '.join(step.broken)}" if step.broken else step.state
    load = (_number(step.calls_at_once), _number(step.calls_per_s, 2), f"{step.turns_per_s:.2f}")
    shares = [amount(share, "share") for share in (of.refused_share, of.failed_share)]
    times = [*_times(of), amount(of.tpot_s.get("p99"), "s")]
    goodput = amount(of.goodput_share, "share")
    return [str(number), f"{step.span.begin_s:.0f}", *load, str(of.turns), goodput, *times, *shares, state]


def outcomes_over_time(reading: Reading, bins: Sequence[Bin]) -> Table:
    """Outcomes in each part of the run. Counts all turns, even if the rows are a sample."""
    reasons = reasons_of(bins)
    counts: list[Counter[str]] = [Counter() for _ in bins]
    begins_s = [each.span.begin_s for each in bins]
    for turns in exact.turns_of(reading):
        place = bisect_right(begins_s, turns.at_s) - 1
        if place >= 0 and bins[place].span.holds(turns.at_s):
            counts[place][_reason(turns) or turns.standing] += turns.number
    heads = ("on_time", "late", *reasons)
    rows = [[f"{each.span.begin_s:.0f}", *(str(own[head]) for head in heads)] for each, own in zip(bins, counts, strict=True)]
    return Table(("from, s", "on time", "late", *reasons), rows)


def reasons_of(bins: Sequence[Bin]) -> list[str]:
    """All reasons: refusals before failures, each most frequent first."""
    found: Counter[str] = sum((each.reasons for each in bins), Counter())
    return sorted(found, key=lambda reason: (reason.startswith(FAILED), -found[reason], reason))


def calls_over_time(reading: Reading, spans: Sequence[Span]) -> list[tuple[Span, Counter[str]]]:
    """Outcomes of calls by their planned start."""
    return [(span, exact.outcomes(reading, [span])) for span in spans]


CALL_OUTCOMES = ("good", "spoiled", "lost", "cut", "not placed")


def calls_table(parts: Sequence[tuple[Span, Counter[str]]]) -> Table:
    whole: Counter[str] = sum((counts for _, counts in parts), Counter())
    rows = [[f"{span.begin_s:.0f}", *(str(counts[name]) for name in CALL_OUTCOMES)] for span, counts in parts]
    return Table(("from, s", *CALL_OUTCOMES), [*rows, ["all", *(str(whole[name]) for name in CALL_OUTCOMES)]])


def agents(reading: Reading) -> Table:
    """Turns and calls by tenant and agent. Agents with long prompts are often the slowest."""
    standings: dict[tuple[str, str], Counter[str]] = {}
    for turns in exact.turns_of(reading):
        standings.setdefault((turns.tenant, turns.agent), Counter())[turns.standing] += turns.number
    calls = exact.outcomes_by_agent(reading) if reading.is_sample else _calls_by_agent(reading)
    rows = []
    for who, counts in sorted(standings.items()):
        ended = calls.get(who, Counter())
        rows.append([*who, str(counts.total()), str(counts["late"]), *(str(ended[name]) for name in ("good", "spoiled", "lost"))])
    return Table(("tenant", "agent", "turns", "late", "calls good", "spoiled", "lost"), rows)


def _calls_by_agent(reading: Reading) -> dict[tuple[str, str], Counter[str]]:
    turns: dict[tuple[str, str], list[Turn]] = {}
    for turn in reading.turns:
        turns.setdefault((turn.tenant, turn.agent), []).append(turn)
    return {who: calls_of(own) for who, own in turns.items()}


def gaps(reading: Reading) -> Table:
    """Gaps between chunks by size, in wide ranges."""
    itl, rows, passed = reading.raw["itl"], [], 0
    limits = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, float("inf"))
    pairs = list(zip(itl["edges_s"], itl["counts"], strict=True))
    for least, most in zip((0.0, *limits), limits, strict=False):
        count = sum(number for edge_s, number in pairs if least < edge_s <= most)
        passed += count
        if count:
            upto = f"≤ {most:g} s" if most < float("inf") else f"> {least:g} s"
            rows.append([upto, str(count), f"{count / itl['count']:.1%}", f"{passed / itl['count']:.1%}"])
    return Table(("gap", "gaps", "share", "cumulative share"), rows)


def slowest(reading: Reading) -> Table:
    """The turns with the highest TTFT. For late and failed turns without a first token, the whole duration counts."""
    turns = sorted(reading.turns, key=_wait_s, reverse=True)[:SLOWEST]
    heads = ("call", "tenant", "agent", "turn", "sent at, s", "TTFT", "first sentence", "duration", "longest gap", "outcome")
    return Table(heads, [_slow(turn) for turn in turns if turn.ttft_s is not None or turn.standing in ("late", "failed")])


def _slow(turn: Turn) -> list[str]:
    times = [amount(value, "s") for value in (turn.ttft_s, turn.first_sentence_s, turn.duration_s, turn.itl_max_s)]
    outcome = turn.outcome + (f": {turn.reason}" if turn.reason else "")
    return [str(turn.call), turn.tenant, turn.agent, str(turn.position + 1), f"{turn.sent_s:.1f}", *times, outcome]


def _wait_s(turn: Turn) -> float:
    if turn.ttft_s is not None:
        return turn.ttft_s
    return turn.duration_s or 0.0 if turn.standing in ("late", "failed") else 0.0


def client(reading: Reading) -> Table:
    rows = []
    for name, watch in reading.raw["client"].items():
        used = [cpu for _, cpu in watch["cpu"]]
        blocked = watch["blocked_s"] / max(watch["watched_s"], 1.0)
        cpu = (f"{sum(used) / len(used):.2f}", f"{max(used):.2f}") if used else ("–", "–")
        rows.append([name, *cpu, f"{watch['worst_lag_s'] * 1000:.0f} ms", f"{blocked:.2%}"])
    return Table(("process", "CPUs used, mean", "CPUs used, max", "longest event-loop lag", "time blocked"), rows)


def server(reading: Reading) -> Table:
    reported = reading.raw["server"]
    words = {"heard": "turns with a first token", "refused": "turns refused", "completion_tokens": "tokens generated"}
    if reported is None or reported.get("problem"):
        return Table((), [])
    rows = [[about, *(f"{reported[side].get(name, 0):.0f}" for side in ("client", "server"))] for name, about in words.items()]
    return Table(("", "client", "server"), rows)


def pairs(of: dict[str, object]) -> Table:
    return Table(("", ""), [[name, "–" if value in (None, "") else str(value)] for name, value in of.items()])


def _times(of: Figures) -> list[str]:
    ttft = [amount(of.ttft_s.get(name), "s") for name in ("p50", "p95", "p99")]
    return [*ttft, amount(of.first_sentence_s.get("p95"), "s")]


def _number(value: float | None, places: int = 1) -> str:
    return "–" if value is None else f"{value:.{places}f}"
