"""The report on a terminal: the results, then the sheet to hand over to the platform."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.check.probe.target import KEY_VARIABLE
from service.check.report import HandOver, Report
from service.console.tables import STYLES, add_result, last_line

_AUTH = {"x-api-key": "x-api-key: KEY", "bearer": "Authorization: Bearer KEY"}


def show(report: Report, console: Console) -> None:
    # Use Text everywhere: rich would read brackets in a server's answer as markup.
    console.print(_results(report))
    console.print(last_line(report.counts, report.duration_s, report.verdict))
    if report.resent:
        console.print(Text(f"{report.resent} requests were refused for load and were sent again.", style=STYLES["warn"]))
    console.print()
    console.print(_sheet(report.hand_over))
    if report.verdict == "fail":
        console.print(Text("Hand it over once no check fails."))


def _results(report: Report) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("Check", no_wrap=True)
    table.add_column("Result", no_wrap=True)
    table.add_column("What the check saw, and what to do", ratio=1, overflow="fold")
    for result in report.checks:
        add_result(table, result.id, result.title, result.outcome, seen=result.seen, fix=result.fix)
    return table


def _sheet(sheet: HandOver) -> Table:
    table = Table(title="To hand over to the platform", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("Endpoint URL", Text(sheet.url or "none: no path answers"))
    table.add_row("Model ID", Text(sheet.model))
    table.add_row("Auth method", Text(" or ".join(_AUTH[header] for header in sheet.auth) or "none works"))
    table.add_row("Credential", Text(_place(sheet)))
    return table


def _place(sheet: HandOver) -> str:
    if sheet.credential.kind == "command line":
        return f"given on the command line (better: {KEY_VARIABLE} or --key-file)"
    return f"in the {'environment variable' if sheet.credential.kind == 'variable' else 'file'} {sheet.credential.name}"
