"""The report as one HTML file that needs nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure

from loadtest.calls.honesty import CPU_LIMIT
from loadtest.report import plots, tables
from loadtest.report.drawing import drawn
from loadtest.report.findings import Findings
from loadtest.report.reading import Reading
from loadtest.report.tables import Table
from loadtest.report.verdict import amount, measured

_HEADLINES = {"go": "Go", "no-go": "No-go", "invalid": "Invalid: the run says nothing"}


@dataclass(frozen=True)
class Section:
    name: str
    """In the address: `#name`."""
    title: str
    about: str
    table: Table
    picture: str = ""
    """SVG; empty: there is nothing to draw."""
    is_folded: bool = True
    """The table stands beside a picture, for those who cannot see it; on demand."""


def render(findings: Findings) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        findings=findings,
        verdict=findings.verdict,
        headline=_HEADLINES[findings.verdict.word],
        amount=amount,
        measured=measured,
        facts=_facts(findings),
        sections=_sections(findings),
        settings=tables.pairs({"scenario": findings.reading.scenario, **findings.reading.raw["settings"]}),
        environment=tables.pairs({**findings.reading.raw["environment"], "run, s": findings.reading.run_s}),
        doubts=findings.reading.raw["validity"]["doubts"],
        disagreements=(findings.reading.raw["server"] or {}).get("disagreements", []),
        remarks=(findings.reading.raw["server"] or {}).get("remarks", []),
    )


def _sections(findings: Findings) -> list[Section]:
    reading, found, wanted = findings.reading, findings.verdict.knee, findings.wanted
    bins = tables.bins_of(reading)
    return [
        _pictured("load", "Over load", _about_load(findings), tables.over_load(found.steps),
                  lambda: plots.latency_over_load(found, wanted), is_drawn=len(found.steps) > 1),
        _pictured("latency", "Over time", "Time to first word of the turns sent in each part of the run, and the calls at once."
                  + _sampled(reading),
                  tables.latency_over_time(bins), lambda: plots.latency_over_time(bins, wanted), is_drawn=bool(reading.turns)),
        _pictured("outcomes", "What became of the turns", _about_outcomes(findings), tables.outcomes_over_time(reading, bins),
                  lambda: plots.outcomes_over_time(reading, bins), is_drawn=bool(reading.turns)),
        _calls(findings),
        _pictured("gaps", "Between the words", "Gaps between the chunks of all answers (ITL).", tables.gaps(reading),
                  lambda: plots.gaps(reading), is_drawn=bool(reading.raw["itl"]["count"])),
        Section("agents", "By agent", "Calls are counted as those at the top are.", tables.agents(reading), is_folded=False),
        Section("slowest", "The slowest turns", "Turn 1 is a call's first. Nothing that was said is kept." + _sampled(reading),
                tables.slowest(reading), is_folded=False),
        _pictured("client", "The client itself", "Where it is full, times are its own, and the run is invalid.",
                  tables.client(reading), lambda: plots.client(reading, CPU_LIMIT),
                  is_drawn=any(watch["cpu"] for watch in reading.raw["client"].values())),
        Section("server", "Client and server", _about_server(findings), tables.server(reading), is_folded=False),
    ]  # fmt: skip


def _pictured(name: str, title: str, about: str, table: Table, draw: Callable[[], Figure], *, is_drawn: bool) -> Section:
    return Section(name, title, about, table, drawn(draw, name, title) if is_drawn else "", is_folded=is_drawn)


def _calls(findings: Findings) -> Section:
    reading = findings.reading
    parts = tables.calls_over_time(reading, reading.bins(most=24))
    about = (
        "Good: every first word in time. Spoiled: a turn was late, failed or refused. Lost: refused at its first turn."
        " Cut: the run ended first. Here a call counts by its whole length."
    )
    table = tables.calls_table(parts)
    return _pictured("calls", "Calls", about, table, lambda: plots.calls_over_time(parts), is_drawn=bool(reading.calls))


def _facts(findings: Findings) -> list[tuple[str, str]]:
    """The figures at the top."""
    capacity, figures, plan = findings.capacity, findings.verdict.figures, findings.plan
    facts = [("turns judged", str(figures.turns)), ("on time", amount(figures.goodput_share, "share"))]
    if (carried := capacity.carried) is not None:
        least = "" if carried.is_knee else "at least "
        for words, value in (
            ("calls at once", carried.calls_at_once),
            ("calls/s", carried.calls_per_s),
            ("turns/s", carried.turns_per_s),
        ):
            facts.append(
                (f"{words} carried", "–" if value is None else f"{least}{value:.{1 if words == 'calls at once' else 2}f}")
            )
    if capacity.calls_per_replica is not None:
        facts.append((f"calls per replica ({plan.replicas} ran)", f"{capacity.calls_per_replica:.1f}"))
    if capacity.replicas_needed is not None:
        facts.append((f"replicas for {plan.calls} calls ({capacity.headroom})", str(capacity.replicas_needed)))
    if capacity.price_per_1000_on_time is not None:
        facts.append(("price of 1,000 turns on time", f"{capacity.price_per_1000_on_time:.4g}"))
    return facts


def _about_load(findings: Findings) -> str:
    found = findings.verdict.knee
    changed = " Rate or cap were changed during the run." if findings.reading.raw["schedule"]["changes"] else ""
    if findings.reading.scenario != "ramp":
        return f"The steps of the scenario. Only a ramp has a knee.{changed}"
    method = (
        "The load carried (the knee) is that of the last step before the first that broke, lowered until all turns up to it meet"
        " every threshold. Loads are those measured in the step. Calls/s are what would keep up the step's turns."
    ) + changed
    if found.at is None:
        return f"The thresholds held at no load. {method}"
    broke = found.broke_at
    if broke is None:
        return f"The knee was not reached: no step broke. {method}"
    at = broke.calls_at_once
    cause = f" ({', '.join(broke.broken)})" if broke.broken else " (by all turns up to there)"
    return f"First missed at {'an unknown number of' if at is None else f'{at:.1f}'} calls at once{cause}. {method}"


def _about_outcomes(findings: Findings) -> str:
    turns = findings.reading.turns_seen
    sampled = " The table counts them all; the picture is scaled up from the sample." if findings.reading.is_sample else ""
    return f"{turns} turns, by when they were sent; refusals and failures by reason.{sampled}"


def _sampled(reading: Reading) -> str:
    """Where it is so: what is of a sample, and what is not."""
    if not reading.is_sample:
        return ""
    sample = f"a sample of {len(reading.turns)} of {reading.turns_seen} turns (--record-rows)"
    return f" The record holds {sample}: times are the sample's, counts and shares those of all."


def _about_server(findings: Findings) -> str:
    if findings.reading.raw["server"] is None:
        return "The endpoint has no metrics of ours, or they were not within reach: nothing to compare."
    if problem := findings.reading.raw["server"].get("problem"):
        return f"{problem[:1].upper()}{problem[1:]}. Nothing to compare."
    found = findings.reading.raw["server"]["disagreements"]
    return "They disagree:" if found else "Their counts agree."
