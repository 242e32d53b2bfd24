"""docs/loadtest.md says what the code does."""

import re

import pytest

from loadtest.calls.record import KEYS, SECOND_COLUMNS
from loadtest.calls.rows import CALL_COLUMNS, TURN_COLUMNS
from loadtest.calls.scenarios import SCENARIOS, Scenario
from tests.loadtest.locust_runs import ROOT
from tests.support.documents import document_text, table_rows_under

PAGE = "loadtest.md"
OPTIONS = "### On the command line"


def row_of(scenario: Scenario) -> tuple[str, ...]:
    rate = ", ".join(f"{multiple:g}" for multiple in scenario.profile)
    if scenario.noisy_profile:
        rate += "; noisy: " + ", ".join(f"{multiple:g}" for multiple in scenario.noisy_profile)
    barge_ins = f"{scenario.barge_in_share:.0%}".replace("%", " %")
    return f"`{scenario.name}`", f"{scenario.run_s:g} s", rate, barge_ins, scenario.about


def test_the_scenarios_are_those_of_the_code() -> None:
    assert table_rows_under(PAGE, "## Scenarios") == [row_of(scenario) for scenario in SCENARIOS.values()]


@pytest.mark.parametrize(
    ("heading", "known"),
    [("## The record", KEYS), ("### A row of `turns`", TURN_COLUMNS), ("### A row of `calls`", CALL_COLUMNS)],
    ids=["fields", "turns", "calls"],
)
def test_the_record_is_laid_out_as_the_page_says(heading: str, known: dict[str, str]) -> None:
    assert table_rows_under(PAGE, heading) == [(f"`{name}`", about) for name, about in known.items()]


def test_seconds_have_the_columns_of_the_page() -> None:
    reported = document_text(PAGE).split("### A row of `seconds`")[1]
    assert tuple(re.findall(r"`(\w+)`", reported)) == SECOND_COLUMNS


def test_every_option_and_its_default_and_every_entry_are_on_the_page() -> None:
    source = (ROOT / "loadtest" / "calls" / "options.py").read_text()
    options = re.findall(r'"(--[\w-]+)"', source)
    assert [row[0] for row in table_rows_under(PAGE, OPTIONS)] == [f"`{option}`" for option in options]
    for option, default in re.findall(r'"(--[\w-]+)", type=\w+, default=([\d._]+)', source):
        (row,) = [row for row in table_rows_under(PAGE, OPTIONS) if row[0] == f"`{option}`"]
        assert row[1] == default.replace("_", "")
    entries = re.findall(r'_tell\(fire, "([\w ]+)"', (ROOT / "loadtest" / "calls" / "entries.py").read_text())
    reported = " ".join(row[0] for row in table_rows_under(PAGE, "## What is measured"))
    assert all(f"`{entry}`" in reported for entry in entries) and len(entries) > 7
