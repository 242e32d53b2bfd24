"""From turns to verdicts, without any server."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.overload.client import Answer, Outcome
from loadtest.overload.loops import Recording
from loadtest.overload.measures import Bounds, Measures, measure, percentile
from loadtest.overload.report import write_docs
from loadtest.overload.results import OURS, PLAIN, Cell, Results, read_results
from loadtest.overload.targets import verdicts
from loadtest.overload.workloads import Turn
from loadtest.pages import BEGIN, END


def turn(
    call: str, position: int, outcome: Outcome = "finished", *, due_at: float = 0, ttft: float = 0.1, tpot: float = 0.1
) -> Turn:
    """Of a call of two turns; 11 tokens."""
    answer = Answer(sent_at=due_at, answered_at=due_at + 0.01, outcome=outcome, tokens=11)
    if outcome in ("finished", "dropped"):
        answer.first_at = due_at + ttft
        answer.last_at = answer.ended_at = due_at + ttft + 10 * tpot
    return Turn(call, position, due_at, is_last=position == 1, answer=answer)


def cell_of(*turns: Turn) -> Measures:
    return measure(Recording(0, 10, list(turns)), 1, Bounds())


@pytest.mark.parametrize(
    ("second", "share"),
    [
        (turn("a", 1), 1),
        (turn("a", 1, due_at=12), 1),
        (turn("a", 1, ttft=1.1), 0),
        (turn("a", 1, tpot=0.3), 0),
        (turn("a", 1, "dropped", tpot=0.3), 1),
        (turn("a", 1, "refused"), 0),
        (turn("a", 1, "cut"), 0),
    ],
    ids=["good", "after the window", "late", "slow", "barge-in", "refused", "cut"],
)
def test_a_call_is_unspoiled_if_every_turn_came_in_time(second: Turn, share: float) -> None:
    cell = cell_of(turn("a", 0), second, turn("b", 0, "refused"))
    assert (cell.calls_admitted, cell.calls_finished) == (1, share)
    assert cell.unspoiled_per_s == pytest.approx(share / 10)


def test_only_turns_due_in_the_window_count() -> None:
    cell = cell_of(turn("a", 0, due_at=-1), turn("a", 1, due_at=1), turn("b", 0, due_at=2), turn("b", 1, due_at=11))
    assert (cell.turns, cell.goodput) == (2, 0.2)


def test_refused_turns_of_calls_under_way_are_told_apart() -> None:
    cell = cell_of(turn("a", 0), turn("a", 1, "refused"), turn("b", 0, "refused"))
    assert (cell.refused, cell.refused_continuing, cell.admitted_within) == (2, 1, 1)


def test_percentiles_are_values_that_were_measured() -> None:
    assert [percentile([3, 1, 2, 4], percent) for percent in (50, 99)] == [2, 4]
    assert percentile([], 50) is None


def test_a_client_that_was_late_makes_its_cell_invalid() -> None:
    late = turn("a", 0)
    late.answer.sent_at += 0.06
    assert not cell_of(late).is_valid
    assert cell_of(turn("a", 0)).is_valid


def results_with(**goodput: float) -> Results:
    results = Results(capacity={"uniform": 3.0})
    good = cell_of(turn("a", 0), turn("a", 1))
    for server, value in goodput.items():
        results.put(Cell(server, "uniform", 2.0, replace(good, goodput=value)))
    return results


def test_verdicts_compare_servers_and_say_what_is_not_known() -> None:
    reported = {
        verdict.target: verdict for verdict in verdicts(results_with(**{OURS: 3.0, PLAIN: 0.6})) if verdict.workload == "uniform"
    }
    assert reported["goodput at 2× over vllm's"].measured == pytest.approx(5)
    assert reported["goodput at 2× over vllm's"].is_met is False
    assert reported["goodput at 2× over vllm's"].at_most == pytest.approx(5)  # Its goodput in capacity.
    assert reported["goodput at 2× over our best"].at_most is None
    assert reported["goodput at 2× over our best"].is_met is True
    assert reported["goodput at 2× over tuned vllm's"].is_met is None


def test_results_survive_the_file_and_a_later_run_adds_to_them(tmp_path: Path) -> None:
    file = tmp_path / "reports" / "overload.json"
    results_with(**{OURS: 3.0}).write(file)
    again = read_results(file)
    assert again == results_with(**{OURS: 3.0})
    again.put(replace(again.cells[0], server=PLAIN))
    again.put(again.cells[0])
    assert [cell.server for cell in again.in_order()] == [OURS, PLAIN]
    again.set_capacity("uniform", 4.0)
    assert not again.cells, "at multiples of another capacity, cells do not compare"


def test_the_page_gets_tables_and_picture_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "overload.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_docs(results_with(**{OURS: 3.0}), page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "![Goodput over offered load](overload.svg)" in text and "| uniform | 2× | firstword |" in text
    assert {file.suffix for file in tmp_path.iterdir()} == {".md", ".svg"}
