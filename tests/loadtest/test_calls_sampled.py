"""A report of a run with more turns than its record keeps: what it counts is what the whole run had."""

from pathlib import Path

from loadtest.calls import record
from loadtest.report import findings, page, tables
from loadtest.report.capacity import Plan
from loadtest.report.figures import figures_of
from loadtest.report.reading import Reading, Span
from loadtest.report.thresholds import Thresholds
from tests.loadtest.report_records import Maker, bad


def reading_of(made: Maker, most_rows: int) -> Reading:
    made.most_rows = most_rows
    return Reading(made.record())


def test_tables_count_all_turns_and_calls() -> None:
    made = bad()
    for number in range(500, 530):
        made.turn(number, 20.0, outcome="refused", reason="429 calls", agent="bank")
        made.call(number, 20.0, "lost")
    whole, sampled = reading_of(made, 200_000), reading_of(made, 50)
    assert sampled.is_sample and len(sampled.turns) == len(sampled.calls) == 50
    for reading in (whole, sampled):
        reported = tables.outcomes_over_time(reading, tables.bins_of(whole))
        assert [sum(int(row[place]) for row in reported.rows) for place in range(1, 6)] == [160, 20, 30, 10, 10]
        calls = tables.calls_table(tables.calls_over_time(reading, reading.bins(most=24))).rows[-1]
        assert list(calls) == ["all", "80", "20", "40", "0", "0"]
        assert [row[:4] for row in tables.agents(reading).rows] == [
            ["quiet", "bank", "30", "0"],
            ["quiet", "hotel", "200", "20"],
        ]


def test_shares_and_the_turns_that_are_judged_are_those_of_all() -> None:
    parts = [Span(0, 60), Span(100, 150)]
    whole, sampled = (figures_of(reading_of(bad(), most), parts) for most in (200_000, 50))
    for name in ("turns", "goodput_share", "failed_share", "refused_share"):
        assert getattr(sampled, name) == getattr(whole, name), name


def test_the_page_says_what_is_of_a_sample_and_still_compares_with_the_server(tmp_path: Path) -> None:
    text = page.render(findings.find(reading_of(bad(), 50), Thresholds(), Plan()))
    assert "The record holds a sample of 50 of 200 turns (--record-rows)" in text
    assert "The counts agree." in text and "nothing to compare" not in text
    assert "The record holds a sample" not in page.render(findings.find(reading_of(bad(), 500), Thresholds(), Plan()))


def test_the_page_says_why_the_servers_counts_could_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    reported = bad().record()
    problem = "server metrics could not be read: the answer has status 404"
    reported["server"] = {"server": {}, "client": {}, "disagreements": [], "problem": problem}
    record.write(reported, file)
    text = page.render(findings.find(Reading(record.read(file)), Thresholds(), Plan()))
    assert "Server metrics could not be read: the answer has status 404." in text and "counts agree" not in text
