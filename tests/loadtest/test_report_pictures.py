"""The pictures: axes with units, thresholds as lines, no letter upon another."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from loadtest.calls.honesty import CPU_LIMIT
from loadtest.report import knee, plots, tables
from loadtest.report.drawing import drawn
from loadtest.report.reading import Reading
from loadtest.report.thresholds import Thresholds
from tests.loadtest.report_records import Maker, bad, ramp

WANTED = Thresholds()


def _many_reasons() -> Maker:
    made = bad()
    for number, reason in enumerate(("503 overloaded (capacity)", "429 rate_limit_exceeded", "503 not_ready", "500 engine_error",
                                     "no token within 60 s", "connection: ConnectionResetError")):  # fmt: skip
        outcome = "refused" if reason[:3] in ("503", "429") else "failed"
        for place in range(5):
            made.turn(1000 + number * 10 + place, 20.0 * number, outcome=outcome, reason=reason)
    return made


RUNS = {"ramp": ramp(), "bad": bad(), "many reasons": _many_reasons()}
DRAW: dict[str, Callable[[Reading], Figure]] = {
    "latency": lambda reading: plots.latency_over_time(tables.bins_of(reading), WANTED),
    "load": lambda reading: plots.latency_over_load(knee.find(reading, WANTED), WANTED),
    "outcomes": lambda reading: plots.outcomes_over_time(reading, tables.bins_of(reading)),
    "calls": lambda reading: plots.calls_over_time(tables.calls_over_time(reading, reading.bins(most=24))),
    "gaps": plots.gaps,
    "client": lambda reading: plots.client(reading, CPU_LIMIT),
}
every_picture = pytest.mark.parametrize("name", DRAW)
every_run = pytest.mark.parametrize("run", RUNS)


def figure_of(name: str, run: str) -> Figure:
    """In the style that the page draws it in."""
    figures = []

    def draw() -> Figure:
        figures.append(DRAW[name](Reading(RUNS[run].record())))
        return figures[0]

    drawn(draw, name, name)
    return figures[0]


@every_picture
def test_every_axis_says_what_it_shows(name: str) -> None:
    figure = figure_of(name, "ramp")
    for axes in figure.axes:
        assert axes.get_ylabel()
        assert axes.get_legend() or len(figure.axes) > 1
    assert figure.axes[-1].get_xlabel()


@every_run
@every_picture
def test_no_letter_stands_upon_another_or_beyond_the_edge(name: str, run: str) -> None:
    figure = figure_of(name, run)
    figure.draw_without_rendering()
    shown = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible() and text.get_text().strip()]
    ticks = {text for axes in figure.axes for text in _unseen_ticks(axes)}
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown if text not in ticks]
    paper = figure.bbox
    for words, box in boxes:
        assert paper.x0 <= box.x0 <= box.x1 <= paper.x1, words
        assert paper.y0 <= box.y0 <= box.y1 <= paper.y1, words
    assert not any("$" in words for words, _ in boxes)
    for (one, box), (other, beside) in itertools.combinations(boxes, 2):
        assert not box.overlaps(beside), (one, other)


def _unseen_ticks(axes: object) -> list[Text]:
    """Labels of ticks beyond the axis are made, and not drawn."""
    unseen = []
    for axis, (least, most) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):  # type: ignore[attr-defined]
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        unseen += [label for tick in ticks if not least <= tick.get_loc() <= most for label in (tick.label1, tick.label2)]
    return unseen


def test_thresholds_and_the_knee_are_lines_at_their_values() -> None:
    upper, lower = figure_of("load", "ramp").axes
    labels: dict[object, Any] = {line.get_label(): line for line in [*upper.get_lines(), *lower.get_lines()]}
    assert set(labels["required p95"].get_ydata()) == {WANTED.ttft_p95_s_max}
    assert set(labels["required"].get_ydata()) == {WANTED.goodput_share_min}
    assert set(labels["carried: 30.0 calls"].get_xdata()) == {30.0}
    assert list(labels["goodput"].get_xdata()) == [10, 20, 30, 40]
    assert list(labels["goodput"].get_ydata()) == [1, 1, 1, 0]


def test_the_pictures_numbers_are_those_of_the_tables() -> None:
    reading = Reading(bad().record())
    bins = tables.bins_of(reading)
    reported = tables.outcomes_over_time(reading, bins)
    assert list(reported.heads[1:]) == ["on time", "late", "refused: 503 overloaded (capacity)", "failed: 500 engine_error"]
    assert [sum(int(row[place]) for row in reported.rows) for place in range(1, 5)] == [160, 20, 10, 10]
    axes = figure_of("outcomes", "bad").axes[0]
    areas = [sum(bar.get_height() * bins[0].span.length_s for bar in bars) for bars in axes.containers]
    assert areas == pytest.approx([160, 20, 10, 10])


def test_the_same_record_draws_the_same_picture_with_ids_of_its_own() -> None:
    reading = Reading(ramp().record())
    one, again = (drawn(lambda: DRAW["gaps"](reading), "gaps", "Gaps") for _ in range(2))
    assert one == again
    assert 'id="gaps-' in one
    assert "currentColor" in one
    assert "<!DOCTYPE" not in one


def test_the_slowest_turns_come_first_and_none_that_was_refused() -> None:
    rows = tables.slowest(Reading(bad().record())).rows
    assert [row[5] for row in rows[:12]] == ["2.500 s"] * 12
    assert not any("refused" in row[-1] for row in rows)
