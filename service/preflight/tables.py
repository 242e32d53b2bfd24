"""The report for a person: a table for the cluster, and one for each pool."""

from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.preflight.report import Finding, Report

_LONGEST = 22  # So that the tables stand in line.
_STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}


def show(report: Report, console: Console) -> None:
    # As Text throughout: rich would take brackets for its own markup.
    console.print(Text(f"Cluster {report.cluster}, namespace {report.namespace}, release {report.release}"))
    for pool, findings in groupby(report.findings, key=lambda finding: finding.pool):
        console.print(_table(f"Pool {pool}" if pool else "Cluster and namespace", list(findings)))
    counts = report.counts
    summary = f"{counts.passed} passed, {counts.warned} warned, {counts.failed} failed, {counts.skipped} skipped"
    console.print(Text(f"{summary} in {report.duration_s:.1f} s: {report.verdict.upper()}", style=_STYLES[report.verdict]))


def _table(title: str, findings: list[Finding]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("Check", no_wrap=True, min_width=_LONGEST)
    table.add_column("Result", no_wrap=True, min_width=len("skipped"))
    table.add_column("What is so, and what to change", ratio=1, overflow="fold")
    for finding in findings:
        told = Text(finding.title)
        told.append(f"{': ' if finding.outcome == 'pass' else chr(10)}{finding.seen}", style="dim")
        if finding.fix:
            told.append(f"\n-> {finding.fix}", style=_STYLES[finding.outcome])
        table.add_row(Text(finding.check), Text(finding.outcome, style=_STYLES[finding.outcome]), told)
    return table
