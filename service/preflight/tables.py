"""The report as text: one table for the cluster, and one for each pool."""

from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.console.tables import add_result, last_line
from service.preflight.report import Finding, Report

_LONGEST = 22  # A common width aligns the columns of all tables.


def show(report: Report, console: Console) -> None:
    # Use Text everywhere: rich would read brackets in a plain string as markup.
    console.print(Text(f"Cluster {report.cluster}, namespace {report.namespace}, release {report.release}"))
    for pool, findings in groupby(report.findings, key=lambda finding: finding.pool):
        console.print(_table(f"Pool {pool}" if pool else "Cluster and namespace", list(findings)))
    console.print(last_line(report.counts, report.duration_s, report.verdict))


def _table(title: str, findings: list[Finding]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("Check", no_wrap=True, min_width=_LONGEST)
    table.add_column("Result", no_wrap=True, min_width=len("skipped"))
    table.add_column("What was found, and what to change", ratio=1, overflow="fold")
    for finding in findings:
        add_result(table, finding.check, finding.title, finding.outcome, seen=finding.seen, fix=finding.fix)
    return table
