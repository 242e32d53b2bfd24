"""Exact counts of turns and calls. If the record holds only a sample of the rows, they come from its `counts`.

`counts` has whole seconds. A second belongs to the part of the run in which it begins.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from loadtest.calls.tally import counted
from loadtest.report.reading import Reading, Span


class Turns(NamedTuple):
    """A number of equal turns."""

    tenant: str
    agent: str
    standing: str
    """How the turns count, as in `reading.Turn`."""
    reason: str
    at_s: float
    number: int


class Calls(NamedTuple):
    tenant: str
    outcome: str
    at_s: float
    number: int


def turns_of(reading: Reading) -> Iterator[Turns]:
    if not reading.is_sample:
        yield from (Turns(turn.tenant, turn.agent, turn.standing, turn.reason, turn.sent_s, 1) for turn in reading.turns)
        return
    for kind, seconds in counted(reading.raw["counts"]["turns"]):
        is_limited = kind["standing"] == "refused" and kind["reason"].startswith("429")
        standing = "limited" if is_limited else kind["standing"]
        for second, count in seconds.items():
            yield Turns(kind["tenant"], kind["agent"], standing, kind["reason"], second, count)


def calls_begun(reading: Reading) -> Iterator[Calls]:
    if reading.calls_seen == len(reading.calls):
        yield from (Calls(call.tenant, call.outcome, call.due_s, 1) for call in reading.calls)
        return
    for kind, seconds in counted(reading.raw["counts"]["calls"]):
        yield from (Calls(kind["tenant"], kind["outcome"], second, count) for second, count in seconds.items())


def standings(reading: Reading, spans: Sequence[Span], tenant: str | None = None) -> Counter[str]:
    """Count the turns sent in these parts of the run, by standing. `tenant` None: all tenants."""
    found: Counter[str] = Counter()
    for turns in turns_of(reading):
        if tenant in (None, turns.tenant) and any(span.holds(turns.at_s) for span in spans):
            found[turns.standing] += turns.number
    return found


def outcomes(reading: Reading, spans: Sequence[Span], tenant: str | None = None) -> Counter[str]:
    """Count the calls due in these parts of the run, by the outcome of the whole call. `tenant` None: all tenants."""
    found: Counter[str] = Counter()
    for calls in calls_begun(reading):
        if tenant in (None, calls.tenant) and any(span.holds(calls.at_s) for span in spans):
            found[calls.outcome] += calls.number
    return found


def outcomes_by_agent(reading: Reading) -> dict[tuple[str, str], Counter[str]]:
    """Count the calls of the whole run by tenant and agent, then by outcome."""
    found: dict[tuple[str, str], Counter[str]] = {}
    for kind, seconds in counted(reading.raw["counts"]["calls"]):
        found.setdefault((kind["tenant"], kind["agent"]), Counter())[kind["outcome"]] += sum(seconds.values())
    return found
