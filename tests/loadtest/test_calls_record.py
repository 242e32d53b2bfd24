"""What a run comes to: from rows to measures, from two sides' counts to disagreements, and the file of it all."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from loadtest.calls import record, summary
from loadtest.calls.call import Turn
from loadtest.calls.plans import plan_call
from loadtest.calls.record import Gaps, Seen
from loadtest.calls.rows import CALL_COLUMNS, TURN_COLUMNS, Row, turn_row
from loadtest.calls.scenarios import SCENARIOS
from loadtest.calls.server_metrics import Look, client_counts, compare, counts_of
from loadtest.calls.stream import Answer
from loadtest.report.figures import figures_of
from loadtest.report.reading import Reading, Span
from tests.loadtest.report_records import Maker

BUDGET_S = 1.0


def turn(call: int = 0, outcome: str = "answered", **about: Any) -> Row:
    """A row, on time unless it says otherwise; a refusal has no times of an answer."""
    ttft_s = about.pop("ttft_s", None if outcome in ("refused", "failed") else 0.2)
    is_on_time = outcome in ("answered", "barged-in") and ttft_s <= BUDGET_S
    usual = {
        "call": call,
        "tenant": "quiet",
        "agent": "hotel",
        "position": 0,
        "due_s": float(call),
        "late_s": 0.0,
        "outcome": outcome,
        "on_time": int(is_on_time),
        "ttft_s": ttft_s,
        "first_chunk_s": ttft_s,
        "duration_s": 1.5,
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "cached_tokens": 80,
        "reason": "",
    }
    return [{**usual, **about}.get(name) for name in TURN_COLUMNS]


def call(number: int, outcome: str) -> Row:
    usual = {"call": number, "tenant": "quiet", "agent": "hotel", "due_s": float(number), "outcome": outcome}
    return [usual.get(name, 0) for name in CALL_COLUMNS]


def seen(*turns: Row, calls: tuple[Row, ...] = (), gaps: tuple[float, ...] = (), most_rows: int = 1000) -> Seen:
    reported = Seen(most_rows, seed=1, ttft_budget_s=BUDGET_S)
    found = Gaps()
    found.add(list(gaps))
    reported.merge("local", {"turns": turns, "calls": calls, "gaps": found.counts, "gaps_sum_s": found.sum_s, "watch": {}})
    return reported


def measures(*turns: Row, run_s: float = 10.0, **about: Any) -> dict[str, Any]:
    return summary.measures(seen(*turns, **about).as_dict(), run_s)


def test_refusals_are_counted_by_reason_and_dilute_no_latency() -> None:
    refusals = [turn(number, "refused", duration_s=0.001, reason="503 overloaded (capacity)") for number in range(98)]
    found = measures(turn(98, ttft_s=0.3), turn(99, ttft_s=0.5), *refusals, turn(100, "failed", reason="500 engine_error"))
    assert found["refusals"] == {"503 overloaded (capacity)": 98} and found["errors"] == {"500 engine_error": 1}
    assert found["times"]["ttft_s"]["count"] == 2 and found["times"]["ttft_s"]["p50"] == 0.3
    assert found["times"]["duration_s"]["mean"] == 1.5
    assert found["refusal_s"]["p99"] == 0.001
    assert found["on_time_share"] == pytest.approx(2 / 101), "a server that refuses everything looks as bad as it is"
    assert found["goodput_per_s"] == 0.2


@pytest.mark.parametrize(
    ("row", "standing"),
    [
        (turn(), "on_time"),
        (turn(ttft_s=1.1), "late"),
        (turn(outcome="barged-in"), "on_time"),
        (turn(outcome="cut", ttft_s=0.1), "cut"),
        (turn(outcome="cut", ttft_s=None, duration_s=0.5), "cut"),
        (turn(outcome="cut", ttft_s=None, duration_s=1.5), "late"),
        (turn(outcome="failed", ttft_s=0.1), "failed"),
    ],
    ids=["answered", "late", "barge-in", "cut", "cut while it waited", "cut when it was late", "broke after a word"],
)
def test_each_turn_counts_once(row: Row, standing: str) -> None:
    found = measures(row)
    assert {name: found[name] for name in ("on_time", "late", "refused", "failed", "cut")} == {
        name: int(name == standing) for name in ("on_time", "late", "refused", "failed", "cut")
    }


@pytest.mark.parametrize(
    ("ttft_s", "waited_s", "calls"),
    [(None, 0.5, {"good": 1}), (0.2, 5.0, {"good": 1}), (None, 1.5, {"spoiled": 1}), (1.5, 5.0, {"spoiled": 1})],
    ids=["still in time", "in the middle of its answer", "no word in time", "word too late"],
)
def test_a_call_is_spoiled_by_the_end_of_the_run_only_if_it_was_late_by_then(
    ttft_s: float | None, waited_s: float, calls: dict[str, int]
) -> None:
    made = Maker()
    made.turn(0, 1.0)
    made.turn(0, 5.0, 1, outcome="cut", ttft_s=ttft_s, duration_s=waited_s)
    found = figures_of(Reading(made.record()), [Span(0, 200)])
    assert found.calls == calls
    assert (found.turns, found.goodput_share) == ((1, 1.0) if "good" in calls else (2, 0.5))


def test_a_row_has_the_times_since_the_turn_was_sent() -> None:
    answer = Answer(sent_at=100.0, first_chunk_at=100.1, first_word_at=100.2, last_chunk_at=101.1, ended_at=101.2)
    answer.gaps, answer.completion_tokens, answer.outcome = [0.1, 0.9], 11, "answered"
    plan = plan_call(SCENARIOS["steady"], "a seed", number=7)
    row = dict(zip(TURN_COLUMNS, turn_row(Turn(plan, 2, due_at=99.5, answer=answer), 90.0, BUDGET_S), strict=True))
    assert (row["call"], row["position"], row["due_s"], row["late_s"], row["on_time"]) == (7, 2, 9.5, 0.5, 1)
    assert (row["ttft_s"], row["first_chunk_s"], row["duration_s"], row["itl_max_s"]) == (0.2, 0.1, 1.2, 0.9)
    assert row["tpot_s"] == 0.1, "ten tokens after the first, in a second"


def test_percentiles_are_values_that_were_measured() -> None:
    found = summary.percentiles([value / 100 for value in range(1, 101)])
    assert (found["p50"], found["p90"], found["p99"], found["max"]) == (0.5, 0.9, 0.99, 1.0)
    assert summary.percentiles([]) == {}


def test_gaps_are_kept_by_size_to_five_percent() -> None:
    gaps = [0.02] * 90 + [0.5] * 10
    itl = measures(turn(), gaps=tuple(gaps))["itl"]
    assert itl["p50"] == pytest.approx(0.02, rel=0.05) and itl["p95"] == pytest.approx(0.5, rel=0.05)
    assert itl["mean"] == pytest.approx(sum(gaps) / 100) and itl["count"] == 100
    one, other = Gaps(), Gaps()
    one.add(gaps[:95])
    other.add(gaps[95:])
    one.merge(other.counts, other.sum_s)
    assert one.as_dict() == seen(gaps=tuple(gaps)).gaps.as_dict()


def test_of_more_turns_than_are_kept_a_fair_sample_is_and_counts_stay_whole() -> None:
    rows = [turn(number, ttft_s=0.5 if number % 4 else 2.0) for number in range(4000)]
    reported = seen(*rows, most_rows=1000)
    assert len(reported.turns.rows) == 1000 and reported.turns.seen == 4000
    found = summary.measures(reported.as_dict(), 100.0)
    assert (found["on_time"], found["late"], found["goodput_per_s"], found["on_time_share"]) == (3000, 1000, 30.0, 0.75)
    assert found["times"]["ttft_s"]["count"] == found["turns_kept"] == 1000
    numbers = [row[0] for row in reported.turns.rows]
    assert sum(numbers) / len(numbers) == pytest.approx(2000, rel=0.08), "early and late turns alike"
    seconds = reported.as_dict()["seconds"]
    on_time = seconds["columns"].index("on_time")
    assert sum(row[on_time] for row in seconds["rows"]) == 3000


def test_counts_are_the_same_however_few_rows_are_kept() -> None:
    rows = [turn(number, tenant=("quiet", "noisy")[number % 2], agent=("hotel", "bank")[number % 3 > 0]) for number in range(60)]
    rows += [turn(number, "refused", reason=("503 overloaded", "429 calls")[number % 3 > 1]) for number in range(40)]
    rows += [turn(number, "failed", reason="no [DONE]") for number in range(7)] + [turn(1, "hung-up"), turn(2, "barged-in")]
    calls = tuple(call(number, ("good", "lost", "not placed")[number % 3]) for number in range(30))
    whole, sampled = (measures(*rows, calls=calls, most_rows=most) for most in (1000, 5))
    exact = {name for name, reported in whole.items() if name not in ("times", "refusal_s", "by_tenant", "turns_kept")}
    assert {name: sampled[name] for name in exact} == {name: whole[name] for name in exact}
    assert sampled["tokens"]["prompt_tokens"] == 100 * len(rows) and sampled["calls"] == {
        "good": 10,
        "lost": 10,
        "not placed": 10,
    }
    for tenant in ("quiet", "noisy"):
        assert [of["by_tenant"][tenant]["turns"] for of in (whole, sampled)] == [79 if tenant == "quiet" else 30] * 2


def test_reasons_that_never_repeat_do_not_fill_the_memory() -> None:
    found = measures(*[turn(number, "failed", reason=f"500 {number}") for number in range(300)])
    assert len(found["errors"]) == 101 and found["errors"]["others"] == 200


def test_each_second_has_its_calls_turns_and_refusals() -> None:
    reported = seen(
        turn(0), turn(1, "refused"), turn(1), calls=(call(0, "good"), call(1, "lost"), call(1, "not placed"))
    ).as_dict()
    columns = reported["seconds"]["columns"]
    first, second = (dict(zip(columns, row, strict=True)) for row in reported["seconds"]["rows"])
    assert (first["calls"], first["turns"], first["on_time"], first["refused"]) == (1, 1, 1, 0)
    assert (second["calls"], second["not_placed"], second["turns"], second["refused"]) == (1, 1, 2, 1)


BEFORE = """
# TYPE firstword_ttft_seconds histogram
firstword_ttft_seconds_bucket{tenant="a",le="0.5"} 5
firstword_ttft_seconds_bucket{tenant="a",le="+Inf"} 5
firstword_ttft_seconds_count{tenant="a"} 5
firstword_ttft_seconds_sum{tenant="a"} 1.0
# TYPE firstword_refusals_total counter
firstword_refusals_total{reason="full"} 1
firstword_refusals_total{reason="calls"} 1
# TYPE firstword_ttft_budget_seconds gauge
firstword_ttft_budget_seconds 1
"""


def after(*, heard: int, ttft_sum_s: float, refused: int) -> str:
    text = BEFORE.replace('count{tenant="a"} 5', f'count{{tenant="a"}} {5 + heard}')
    text = text.replace('sum{tenant="a"} 1.0', f'sum{{tenant="a"}} {1.0 + ttft_sum_s}')
    return text.replace('{reason="full"} 1', f'{{reason="full"}} {1 + refused}')


@pytest.mark.parametrize(
    ("reported", "budget_s", "words"),
    [
        (after(heard=100, ttft_sum_s=20.0, refused=10), 1.0, None),
        (after(heard=100, ttft_sum_s=5.0, refused=10), 1.0, "mean TTFT: 0.050 s by the server, 0.200 s by the client"),
        (after(heard=50, ttft_sum_s=10.0, refused=10), 1.0, "turns with a first token: 50 by the server, 100 by the client"),
        (after(heard=100, ttft_sum_s=20.0, refused=90), 1.0, "turns refused: 90 by the server, 10 by the client"),
    ],
    ids=["agree", "time between them", "half elsewhere", "others are refused"],
)
def test_server_and_client_are_held_against_each_other(reported: str, budget_s: float, words: str | None) -> None:
    rows = [*[turn(number) for number in range(100)], *[turn(number, "refused") for number in range(10)]]
    client = client_counts(seen(*rows, most_rows=7).as_dict())  # However few rows are kept.
    found = compare(Look(counts_of(BEFORE)), Look(counts_of(reported)), client, budget_s)
    assert found is not None
    assert len(found["disagreements"]) == (words is not None)
    assert words is None or found["disagreements"][0].startswith(words)


def test_another_budget_is_a_setting_to_change_and_no_disagreement() -> None:
    found = compare(Look(counts_of(BEFORE)), Look(counts_of(BEFORE)), client_counts(seen().as_dict()), 2.0)
    assert found is not None and found["disagreements"] == []
    (remark,) = found["remarks"]
    assert "server's TTFT budget is 1 s" in remark and "this run's is 2 s" in remark
    assert "FIRSTWORD_TTFT_BUDGET_S=2" in remark and "--ttft-budget-s 1" in remark


def test_a_later_record_is_not_written_over_the_first() -> None:
    assert [record.numbered(Path("a/web.json"), number).name for number in (1, 2)] == ["web.json", "web-2.json"]


def test_without_metrics_of_ours_there_is_nothing_to_compare() -> None:
    assert counts_of("# TYPE vllm:x counter\nvllm:x_total 1\n") is None
    assert compare(Look(None), Look(counts_of(BEFORE)), {}, 1.0) is None


def test_the_table_has_the_measures_and_says_in_red_what_is_not_valid(tmp_path: Path) -> None:
    turns = turn(0), turn(1, "refused", reason="503 overloaded")
    reported = seen(*turns, calls=(call(0, "good"), call(1, "lost")), gaps=(0.02,), most_rows=1)
    whole = {
        "version": 1,
        "scenario": "steady",
        "settings": {"seed": 1},
        "run_s": 10.0,
        "validity": {"is_valid": False, "doubts": ["[the loop] was blocked"]},
        "server": {"disagreements": ["they differ"], "problem": "server metrics could not be read: [status 404]"},
        "summary": summary.measures(reported.as_dict(), 10.0),
        **reported.as_dict(),
    }
    text = StringIO()
    summary.show(whole, Console(file=text, width=140))
    for words in (
        "1 good, 1 lost",
        "1 × 503 overloaded",
        "50.0% of those that ended",
        "a sample of 1 of 2 turns",
        "INVALID",
        "[the loop] was blocked",
        "server metrics could not be read: [status 404]",
    ):
        assert words in text.getvalue()
    file = tmp_path / "record.json"
    record.write(whole, file)
    assert record.read(file) == whole and list(tmp_path.iterdir()) == [file]
    file.write_text('{"version": 99}')
    with pytest.raises(ValueError, match="has version 99, but only version 1 can be read"):
        record.read(file)
