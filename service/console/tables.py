"""Rows and summary line of the tables that `firstword check` and `firstword preflight` print."""

from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.console.report import Counts, Outcome

STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}
_WIDTH_IN_FILES = 120


def add_result(table: Table, check: str, title: str, outcome: Outcome, *, seen: str, fix: str | None) -> None:
    """Add the row of one check: its name, its outcome, and its title with what was seen and how to fix it."""
    text = Text(title)
    text.append(f"{': ' if outcome == 'pass' else chr(10)}{seen}", style="dim")
    if fix:
        text.append(f"\n-> {fix}", style=STYLES[outcome])
    table.add_row(Text(check), Text(outcome, style=STYLES[outcome]), text)


def last_line(counts: Counts, duration_s: float, verdict: Literal["pass", "fail"]) -> Text:
    """Return the summary line: the counts of outcomes, the duration and the verdict."""
    summary = f"{counts.passed} passed, {counts.warned} warned, {counts.failed} failed, {counts.skipped} skipped"
    return Text(f"{summary} in {duration_s:.1f} s: {verdict.upper()}", style=STYLES[verdict])


def table_console(*, is_on_stderr: bool) -> Console:
    """Return a console for tables. For a file or a pipe, its width is 120 columns instead of rich's 80."""
    console = Console(stderr=is_on_stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=is_on_stderr, highlight=False, width=_WIDTH_IN_FILES)
