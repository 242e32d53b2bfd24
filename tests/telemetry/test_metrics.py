"""The list of metrics: documented, with a bounded number of series, and all series at 0 from the start."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry, Metric

from service.app import create_app
from service.domain import Outcome
from service.engine.models.readers.parts import Drop
from service.engine.scripted.engine import ScriptedEngine
from service.settings import Settings
from service.telemetry.fast_metrics import MergingHistogram
from service.telemetry.metrics import HEARD, REASONS, REJECTED, STAGES, STATES, TTFT_BUCKETS_S, Metrics
from service.telemetry.telemetry import OTHER, Telemetry
from service.tenants.auth import KeyRing
from service.turn import Services
from tests.support.documents import document_lines, table_rows

MOST_SERIES = 4400
"""Maximum of our own series. With some 450 of the engine's (tests/live/test_monitoring.py), a pod stays below 5,000."""


def series(registry: CollectorRegistry) -> set[tuple[str, ...]]:
    return {(sample.name, *map(str, sample.labels.items())) for metric in registry.collect() for sample in metric.samples}


def wired(*tenants: str) -> Services:
    app = create_app(Settings(), ScriptedEngine("m"), KeyRing(plain=[(tenant, f"key-{tenant}") for tenant in tenants]))
    services: Services = app.state.services
    return services


def model_registry() -> Iterable[Metric]:
    """Every metric of a wired service."""
    return wired("acme").telemetry.metrics.registry.collect()


def test_the_document_lists_every_metric_as_the_code_has_it() -> None:
    expected = []
    for metric in model_registry():
        labels = dict.fromkeys(label for sample in metric.samples for label in sample.labels if label != "le")
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        shown_labels = ", ".join(f"`{label}`" for label in labels) or "none"
        expected.append((f"`{name}`", metric.type, shown_labels, metric.documentation))
    assert table_rows("metrics.md") == expected


@pytest.mark.parametrize(
    "words",
    [Outcome, REASONS, STAGES, STATES, HEARD, Drop],
    ids=["outcome", "reason", "stage", "state", "heard", "reason of a dropped call"],
)
def test_the_document_explains_every_word_of_a_label(words: Iterable[str]) -> None:
    explained = {line.split("`")[1] for line in document_lines("metrics.md") if line.startswith("- `")}
    assert set(map(str, words)) <= explained


def test_names_have_base_units_and_one_beginning() -> None:
    for metric in model_registry():
        assert metric.name.startswith("firstword_")
        assert metric.documentation.endswith(".")
        assert metric.type != "histogram" or metric.name.endswith("_seconds")
        assert "_ms" not in metric.name and "_created" not in {sample.name for sample in metric.samples}


def test_every_series_exists_from_the_start() -> None:
    services = wired("acme", "beta")
    metrics = services.telemetry.metrics
    before = series(metrics.registry)
    for tenant in ("acme", "beta"):
        for outcome in Outcome:
            metrics.turns.labels(tenant, "m", outcome).inc()
        for reason in REASONS:
            metrics.refusals.labels(tenant, "m", reason).inc()
        for heard in HEARD:
            metrics.barge_ins.labels(tenant, "m", heard).inc()
        for drop in Drop:
            metrics.dropped_calls.labels(tenant, "m", drop).inc()
        metrics.ttft.labels(tenant, "m").observe(1)
        metrics.wasted_tokens.labels(tenant, "m").inc()
    for stage in STAGES:
        metrics.stage.labels(stage).observe(1)
    for status in REJECTED:
        metrics.rejected.labels(status).inc()
    metrics.tpot.observe(1)
    assert series(metrics.registry) == before


def test_fifty_tenants_and_the_rest_stay_within_the_bound() -> None:
    services = wired(*(f"tenant-{number}" for number in range(80)))
    found = series(services.telemetry.metrics.registry)
    assert len(found) < MOST_SERIES
    tenants = {label for row in found for label in row if label.startswith("('tenant'")}
    assert len(tenants) == 51
    assert f"('tenant', '{OTHER}')" in tenants


def test_tenants_that_a_reloaded_key_file_brings_are_bounded_too() -> None:
    telemetry = Telemetry(model="m", ttft_budget_s=1, max_tenants=2)
    for number in range(1000):
        telemetry.add_tenant(f"tenant-{number % 500}")
    named = {row[1] for row in series(telemetry.metrics.registry) if row[0] == "firstword_turns_offered_total"}
    assert named == {"('tenant', 'tenant-0')", "('tenant', 'tenant-1')", f"('tenant', '{OTHER}')"}


def test_a_gauge_is_read_when_scraped() -> None:
    services = wired("acme")
    value = services.telemetry.metrics.registry.get_sample_value
    assert (value("firstword_state", {"state": "starting"}), value("firstword_state", {"state": "ready"})) == (1, 0)
    services.admission.door.running = 3
    assert value("firstword_turns_running") == 3
    assert value("firstword_drain_deadline_timestamp_seconds") == 0


def test_what_runs_is_told() -> None:
    (build,) = (metric for metric in model_registry() if metric.name == "firstword_build_info")
    assert build.samples[0].labels.keys() == {"version", "engine", "model", "revision", "fingerprint"}
    assert (build.samples[0].labels["engine"], build.samples[0].labels["model"]) == ("scripted", "m")


def test_two_services_fit_in_one_process() -> None:
    one, two = Metrics("m"), Metrics("m")
    one.tpot.observe(1)
    assert two.registry.get_sample_value("firstword_tpot_seconds_count") == 0


def test_ttft_is_told_apart_in_steps_of_50_ms_up_to_half_a_second() -> None:
    assert list(TTFT_BUCKETS_S) == sorted(TTFT_BUCKETS_S)
    assert TTFT_BUCKETS_S[0] <= 0.05
    assert {0.3, 0.5, 1} <= set(TTFT_BUCKETS_S)
    fine = [bound for bound in TTFT_BUCKETS_S if bound <= 0.5]
    assert max(after - before for before, after in pairwise(fine)) <= 0.05 + 1e-9


def test_tallies_of_turns_add_up_to_a_histogram() -> None:
    registry = CollectorRegistry()
    value = registry.get_sample_value
    histogram = MergingHistogram("gap_seconds", "Gaps.", (0.25, 0.5), registry)
    for before, frames_at_s in ((0, (7.0, 7.125, 7.375)), (2, (8.0, 8.375, 13.5))):
        tally = histogram.start()
        for at_s in frames_at_s:
            tally.tick(at_s)
        assert value("gap_seconds_count") == before, "nothing before it is merged"
        histogram.merge(tally)
    assert [value("gap_seconds_bucket", {"le": le}) for le in ("0.25", "0.5", "+Inf")] == [2, 3, 4]
    assert value("gap_seconds_sum") == 5.875
