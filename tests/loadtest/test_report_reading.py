"""What a record must have, and what is read from the looks of several processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from loadtest.report.layout import WrongRecord
from loadtest.report.reading import Reading, Span, read
from tests.loadtest.report_records import good

Record = dict[str, Any]


def written(reported: Record, folder: Path) -> Path:
    file = folder / "run.json"
    file.write_bytes(orjson.dumps(reported))
    return file


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda read: read.pop("run_s"), "run_s is missing."),
        (lambda read: read["settings"].pop("ttft_budget_s"), "settings.ttft_budget_s is missing."),
        (lambda read: read["settings"].update(ttft_budget_s="1"), "settings.ttft_budget_s: input should be a valid number"),
        (lambda read: read.update(validity=None), "validity: "),
        (lambda read: read["validity"].update(is_valid="no"), "validity.is_valid: input should be a valid boolean, given 'no'."),
        (lambda read: read["schedule"]["stages"]["quiet"][0].pop("end_s"), "schedule.stages.quiet.0.end_s is missing."),
        (lambda read: read["client"]["worker-1"].pop("in_progress"), "client.worker-1.in_progress is missing."),
        (lambda read: read["turns"]["columns"].remove("ttft_s"), "turns.rows.0 has 18 values for 17 columns."),
        (lambda reported: _rename(reported, "turns", "ttft_s"), "turns.rows.0.ttft_s is missing."),
        (lambda reported: _set(reported, "turns", 7, "due_s", "soon"), "turns.rows.7.due_s: input should be a valid number"),
        (lambda reported: _set(reported, "calls", 2, "outcome", None), "calls.rows.2.outcome: input should be a valid string"),
        (lambda read: read["server"].pop("disagreements"), "server.disagreements is missing."),
        (lambda reported: [reported["turns"].update(seen=500), reported.pop("counts")], "counts is missing."),
        (lambda reported: _set(reported["counts"], "turns", 0, "counts", [None]), "counts.turns.rows.0.counts.0: "),
    ],
)  # fmt: skip
def test_a_damaged_record_is_told_by_its_field(damage: Callable[[Record], object], words: str, tmp_path: Path) -> None:
    reported = orjson.loads(orjson.dumps(good().record()))
    damage(reported)
    file = written(reported, tmp_path)
    with pytest.raises(WrongRecord) as raised:
        read(file)
    assert str(raised.value).startswith(f"{file} is a damaged record: {words}")


def test_a_whole_record_needs_no_counts(tmp_path: Path) -> None:
    reported = good().record()
    del reported["counts"]
    assert len(read(written(reported, tmp_path)).turns) == 160


def _rename(reported: Record, table: str, column: str) -> None:
    columns = reported[table]["columns"]
    columns[columns.index(column)] = "other"


def _set(reported: Record, table: str, row: int, column: str, value: object) -> None:
    reported[table]["rows"][row][reported[table]["columns"].index(column)] = value


def looked(*looks: list[tuple[float, int]]) -> Reading:
    """By so many processes."""
    watches = {f"worker-{number}": {"in_progress": own} for number, own in enumerate(looks, 1)}
    return Reading(good().record() | {"client": watches})


def test_a_second_without_a_look_has_what_the_process_saw_last() -> None:
    # As Locust's processes look: each a little less often than once a second, and not at the same time.
    one, other = [(1.0, 10), (2.0, 10), (2.99, 10), (4.01, 10)], [(1.2, 10), (2.4, 10), (3.2, 10), (4.4, 10)]
    reading = looked(one, other)
    assert reading.calls_at_once == {1: 20, 2: 20, 3: 20, 4: 20}
    assert reading.mean_calls_at_once(Span(1, 5)) == 20


def test_calls_at_once_are_summed_over_processes_second_by_second() -> None:
    # Each has 10 at most, but not at the same time.
    assert looked([(1.0, 10), (2.0, 0)], [(1.5, 0), (2.5, 10)]).calls_at_once == {1: 10, 2: 10}


def test_a_process_that_ended_a_moment_before_the_others_still_counts_and_one_that_was_lost_does_not() -> None:
    reading = looked([(1.0, 5), (2.0, 5), (3.0, 5), (4.01, 5)], [(1.0, 5), (2.0, 5), (2.99, 5)], [(1.0, 5)])
    assert reading.calls_at_once == {1: 15, 2: 15, 3: 10, 4: 5}


def test_no_look_at_all_is_no_calls_known() -> None:
    assert looked([]).calls_at_once == {}
    assert looked([]).mean_calls_at_once(Span(0, 10)) is None
