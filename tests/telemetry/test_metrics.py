"""The metric catalogue: each turn counted once, as what it was, in a form that scrapers can read."""

import asyncio
import time
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from service.app import create_app
from service.auth import KeyRing
from service.domain import Arrival, Caller, Outcome, Usage
from service.engine.scripted import ScriptedEngine
from service.errors import EngineFailed, InvalidRequest, ModelNotFound, NotReady, Overloaded, PromptTooLong
from service.settings import Settings
from service.telemetry.metrics import TTFT_BUCKETS_S, Telemetry
from service.turn import Rooms
from tests.documents import document_lines, table_rows

BROKEN = "application/openmetrics-text;version=abc"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
NEVER_LATE_S, ALWAYS_LATE_S = 3600.0, 1e-12


def make_telemetry(ttft_budget_s: float = NEVER_LATE_S) -> Telemetry:
    telemetry = Telemetry(ttft_budget_s=ttft_budget_s, model="m")
    telemetry.add_tenant("acme")
    return telemetry


def value(telemetry: Telemetry, name: str, **labels: str) -> float | None:
    return telemetry.registry.get_sample_value(name, {"tenant": "acme", "model": "m", **labels})


def outcomes(telemetry: Telemetry) -> dict[str, float | None]:
    """The outcomes that have been counted."""
    counts = {str(outcome): value(telemetry, "firstword_turns_total", outcome=outcome) for outcome in Outcome}
    return {outcome: count for outcome, count in counts.items() if count}


def take_turn(telemetry: Telemetry, *, error: BaseException | None = None, has_spoken: bool = True) -> None:
    with telemetry.turn("turn-1", Caller("acme"), Arrival(b"", time.monotonic())) as record:
        if has_spoken:
            record.first_word()
        if error is not None:
            raise error
        record.finished(Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=4))


def catalogue() -> Iterable[Metric]:
    """Every metric of a wired service."""
    app = create_app(Settings(), ScriptedEngine("m"), KeyRing(plain=[("acme", "k")]))
    rooms: Rooms = app.state.rooms
    return rooms.telemetry.registry.collect()


@pytest.mark.parametrize(("budget_s", "outcome"), [(NEVER_LATE_S, "on_time"), (ALWAYS_LATE_S, "late")])
def test_an_answered_turn_is_counted_once_by_its_first_word(budget_s: float, outcome: str) -> None:
    telemetry = make_telemetry(budget_s)
    take_turn(telemetry)
    assert outcomes(telemetry) == {outcome: 1}
    assert value(telemetry, "firstword_ttft_seconds_count") == 1
    assert value(telemetry, "firstword_turn_duration_seconds_count") == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Overloaded("full"), "refused_capacity"),
        (NotReady("draining"), "refused_capacity"),
        (InvalidRequest("x"), "client_error"),
        (PromptTooLong(limit=1, given=2), "client_error"),
        (ModelNotFound("x"), "client_error"),
        (asyncio.CancelledError(), "cancelled"),
        (GeneratorExit(), "cancelled"),
        (EngineFailed(), "failed"),
        (RuntimeError("x"), "failed"),
    ],
    ids=lambda row: row if isinstance(row, str) else type(row).__name__,
)
def test_a_turn_that_ends_with_an_error_is_counted_once_and_the_error_passes(error: BaseException, outcome: str) -> None:
    telemetry = make_telemetry()
    with pytest.raises(type(error)):
        take_turn(telemetry, error=error, has_spoken=False)
    assert outcomes(telemetry) == {outcome: 1}
    assert value(telemetry, "firstword_ttft_seconds_count") == 0
    assert value(telemetry, "firstword_turn_duration_seconds_count") == 0


@pytest.mark.parametrize("has_spoken", [True, False])
def test_a_caller_who_gives_up_after_the_budget_had_a_late_turn(has_spoken: bool) -> None:
    telemetry = make_telemetry(ALWAYS_LATE_S)
    with pytest.raises(asyncio.CancelledError):
        take_turn(telemetry, error=asyncio.CancelledError(), has_spoken=has_spoken)
    assert outcomes(telemetry) == {"late": 1}


def test_a_turn_that_breaks_after_its_first_word_still_has_a_ttft() -> None:
    telemetry = make_telemetry()
    with pytest.raises(EngineFailed):
        take_turn(telemetry, error=EngineFailed())
    assert outcomes(telemetry) == {"failed": 1}
    assert value(telemetry, "firstword_ttft_seconds_count") == 1


def test_tokens_of_finished_turns_are_added_up() -> None:
    telemetry = make_telemetry()
    take_turn(telemetry)
    take_turn(telemetry)
    with pytest.raises(EngineFailed):
        take_turn(telemetry, error=EngineFailed())
    kinds = ("prompt", "cached", "completion")
    assert [value(telemetry, f"firstword_{kind}_tokens_total") for kind in kinds] == [18, 8, 6]


def test_every_series_of_a_tenant_exists_at_zero_from_the_start() -> None:
    telemetry = make_telemetry()
    for outcome in Outcome:
        assert value(telemetry, "firstword_turns_total", outcome=outcome) == 0
    for name in ("ttft_seconds_count", "turn_duration_seconds_count", "prompt_tokens_total", "cached_tokens_total"):
        assert value(telemetry, f"firstword_{name}") == 0
    assert value(telemetry, "firstword_completion_tokens_total") == 0
    before = {(sample.name, *sample.labels.items()) for metric in telemetry.registry.collect() for sample in metric.samples}
    take_turn(telemetry)
    after = {(sample.name, *sample.labels.items()) for metric in telemetry.registry.collect() for sample in metric.samples}
    assert after == before


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain; version=0.0.4", parse_plain),
        ("*/*", "text/plain; version=0.0.4", parse_plain),
        ("text/plain", "text/plain; version=0.0.4", parse_plain),
        (BROKEN, "text/plain; version=0.0.4", parse_plain),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0", parse_openmetrics),
        (f"{OPENMETRICS};q=0.6,text/plain;version=0.0.4;q=0.3", "application/openmetrics-text; version=1.0.0", parse_openmetrics),
    ],
)
def test_a_scraper_gets_both_registries_in_one_document(
    accept: str, content_type: str, parse: Callable[[str], Iterable[Metric]]
) -> None:
    telemetry = make_telemetry()
    telemetry.add_tenant('we"ird\\ten\nant')
    telemetry.expose("firstword_turns_running", "Turns in the engine.", lambda: 3)
    take_turn(telemetry)
    body, given_type = telemetry.render(accept)
    text = body.decode()
    assert given_type.startswith(content_type)
    assert text.endswith("\n")
    assert text.count("# EOF") == (1 if parse is parse_openmetrics else 0)
    samples = {
        (sample.name, sample.labels.get("tenant"), sample.labels.get("outcome")): sample.value
        for metric in parse(text)
        for sample in metric.samples
    }
    assert samples["firstword_turns_total", "acme", "on_time"] == 1
    assert samples["firstword_turns_total", 'we"ird\\ten\nant', "on_time"] == 0
    assert samples["firstword_turns_running", None, None] == 3
    assert ("python_info", None, None) in samples


def test_a_gauge_is_read_when_scraped() -> None:
    telemetry, now = make_telemetry(), [1.0]
    telemetry.expose("firstword_x", "X.", lambda: now[0])
    now[0] = 2.0
    assert telemetry.registry.get_sample_value("firstword_x") == 2.0


def test_two_services_fit_in_one_process() -> None:
    one, two = make_telemetry(), make_telemetry()
    take_turn(one)
    assert (outcomes(one), outcomes(two)) == ({"on_time": 1}, {})


def test_ttft_is_told_apart_in_steps_of_50_ms_up_to_half_a_second() -> None:
    assert list(TTFT_BUCKETS_S) == sorted(TTFT_BUCKETS_S)
    assert TTFT_BUCKETS_S[0] <= 0.05
    assert {0.3, 0.5} <= set(TTFT_BUCKETS_S)
    fine = [bound for bound in TTFT_BUCKETS_S if bound <= 0.5]
    assert max(after - before for before, after in pairwise(fine)) <= 0.05 + 1e-9


def test_the_document_lists_every_metric_as_the_code_has_it() -> None:
    expected = []
    for metric in catalogue():
        samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
        labels = dict.fromkeys(label for sample in samples for label in sample.labels if label != "le")
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        shown_labels = ", ".join(f"`{label}`" for label in labels) or "none"
        expected.append((f"`{name}`", metric.type, shown_labels, metric.documentation))
    assert table_rows("metrics.md") == expected


def test_the_document_explains_every_outcome() -> None:
    named = {line.split("`")[1] for line in document_lines("metrics.md") if line.startswith("- `")}
    assert named == {str(outcome) for outcome in Outcome}
