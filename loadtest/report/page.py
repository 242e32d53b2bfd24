"""The report as one self-contained HTML file."""

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

_HEADLINES = {"go": "Go", "no-go": "No-go", "invalid": "Invalid: the run says nothing about the endpoint"}


@dataclass(frozen=True)
class Section:
    name: str
    """Anchor of the section (`#name`)."""
    title: str
    about: str
    table: Table
    picture: str = ""
    """SVG element. Empty: there is nothing to draw."""
    is_folded: bool = True
    """Whether the table is folded, because the picture shows the same. Screen readers use the table."""


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
        _pictured("load", "TTFT and goodput by load", _about_load(findings), tables.over_load(found.steps),
                  lambda: plots.latency_over_load(found, wanted), is_drawn=len(found.steps) > 1),
        _pictured("latency", "TTFT over time", "TTFT of the turns sent in each part of the run, and the calls at once."
                  + _sampled(reading),
                  tables.latency_over_time(bins), lambda: plots.latency_over_time(bins, wanted), is_drawn=bool(reading.turns)),
        _pictured("outcomes", "Outcomes of turns", _about_outcomes(findings), tables.outcomes_over_time(reading, bins),
                  lambda: plots.outcomes_over_time(reading, bins), is_drawn=bool(reading.turns)),
        _calls(findings),
        _pictured("gaps", "Gaps between chunks (ITL)", "Between two chunks of an answer, for all answers.", tables.gaps(reading),
                  lambda: plots.gaps(reading), is_drawn=bool(reading.raw["itl"]["count"])),
        Section("agents", "By agent", "Calls are counted as for the thresholds.", tables.agents(reading), is_folded=False),
        Section("slowest", "Slowest turns", "Turn 1 is the first of a call. The record has no text of turns." + _sampled(reading),
                tables.slowest(reading), is_folded=False),
        _pictured("client", "CPU use of the client", "With too little CPU, the client measures its own delays: an invalid run.",
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
        "Good: every turn was on time. Spoiled: a turn was late, failed or refused. Lost: its first turn was refused."
        " Cut: the run ended before the call did. This section counts each call with all its turns."
    )
    table = tables.calls_table(parts)
    return _pictured("calls", "Calls", about, table, lambda: plots.calls_over_time(parts), is_drawn=bool(reading.calls))


def _facts(findings: Findings) -> list[tuple[str, str]]:
    """The figures at the top of the page: labels and values."""
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
        facts.append((f"calls per replica (replicas in the run: {plan.replicas})", f"{capacity.calls_per_replica:.1f}"))
    if capacity.replicas_needed is not None:
        headroom = f"with headroom: {capacity.headroom}"
        facts.append((f"replicas for {plan.calls} calls ({headroom})", str(capacity.replicas_needed)))
    if capacity.price_per_1000_on_time is not None:
        facts.append(("price of 1,000 turns on time", f"{capacity.price_per_1000_on_time:.4g}"))
    return facts


def _about_load(findings: Findings) -> str:
    found = findings.verdict.knee
    changed = " The rate, the cap or the processes changed during the run." if findings.reading.raw["schedule"]["changes"] else ""
    if findings.reading.scenario != "ramp":
        return f"The steps of the scenario. Only a ramp has a knee.{changed}"
    method = (
        "The load carried (the knee) is the load of the last step before the first step that broke. It is lowered until all turns"
        " up to it together meet every threshold. Loads are measured, not planned. Calls/s is the arrival rate that sustains the"
        " step's turns."
    ) + changed
    if found.at is None:
        return f"The thresholds held at no load. {method}"
    broke = found.broke_at
    if broke is None:
        return f"The knee was not reached: no step broke. {method}"
    at = broke.calls_at_once
    cause = f" ({', '.join(broke.broken)})" if broke.broken else " (by all turns up to this step together)"
    return (
        f"A threshold was first missed at {'an unknown number of' if at is None else f'{at:.1f}'} calls at once{cause}. {method}"
    )


def _about_outcomes(findings: Findings) -> str:
    turns = findings.reading.turns_seen
    sampled = " The table counts all turns; the picture is scaled up from the sample." if findings.reading.is_sample else ""
    return f"{turns} turns by send time. Refusals and failures are shown by reason.{sampled}"


def _sampled(reading: Reading) -> str:
    """A note on which values come from a sample. Empty: the record has all rows."""
    if not reading.is_sample:
        return ""
    sample = f"a sample of {len(reading.turns)} of {reading.turns_seen} turns (--record-rows)"
    return f" The record holds {sample}. Times are from the sample; counts and shares are of all turns."


def _about_server(findings: Findings) -> str:
    if findings.reading.raw["server"] is None:
        return "The endpoint has no firstword_* metrics, or the client could not reach them, so there is nothing to compare."
    if problem := findings.reading.raw["server"].get("problem"):
        return f"{problem[:1].upper()}{problem[1:]}. There is nothing to compare."
    found = findings.reading.raw["server"]["disagreements"]
    return "The counts disagree:" if found else "The counts agree."
