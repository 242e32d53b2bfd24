"""Metrics for what happens with every token, step or turn."""

import random
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.telemetry.fast_metrics import QuickHistogram, on_change


def test_quick_histograms_tell_what_the_librarys_would_tell() -> None:
    amounts = [0.0, 0.01, 0.01, 0.011, 0.5, 2.0, 2.5, 1e9]

    def one_by_one(histogram: Any, amounts: list[float]) -> None:
        for amount in amounts:
            histogram.observe(amount)

    ways: Any = (Histogram, one_by_one), (QuickHistogram, one_by_one), (QuickHistogram, QuickHistogram.observe_many)
    exposed = []
    for kind, observe in ways:
        registry = CollectorRegistry()
        histogram = kind("gap", "Of tokens.", ["engine"], buckets=[0.01, 0.1, 2.0], registry=registry).labels("0")
        observe(histogram, amounts[:5])
        observe(histogram, [])
        observe(histogram, amounts[5:])
        exposed.append([line for line in generate_latest(registry).decode().splitlines() if "created" not in line])
    assert exposed[0] == exposed[1] == exposed[2]
    assert any(line.startswith("gap_count") and line.endswith(" 8.0") for line in exposed[0])


def test_gauges_and_counters_on_change_tell_what_they_would_tell() -> None:
    exposed = []
    for of in (on_change, lambda metrics: metrics):
        registry, chance = CollectorRegistry(), random.Random(5)
        gauge = Gauge("running", "Turns.", ["engine"], registry=registry)
        counter = Counter("tokens", "Tokens.", ["source", "engine"], registry=registry)
        gauges = of({0: gauge.labels("0"), 1: gauge.labels("1")})
        counters = of({source: {0: counter.labels(source, "0")} for source in ("cache", "computed")})
        for _ in range(200):
            gauges[chance.randrange(2)].set(chance.choice([0, 0, 1, 2.5]))
            counters[chance.choice(["cache", "computed"])][0].inc(chance.choice([0, 0, 3]))
        gauges[1].set(3)
        gauges[1].inc(2)
        gauges[1].set(3)
        exposed.append([line for line in generate_latest(registry).decode().splitlines() if "created" not in line])
    assert exposed[0] == exposed[1]
    assert any(line.startswith("tokens_total") and not line.endswith(" 0.0") for line in exposed[0])


def test_of_what_is_on_change_only_gauges_and_counters_are_others() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("gap", "Of tokens.", registry=registry)
    assert on_change({"a": {0: histogram}, "b": 3}) == {"a": {0: histogram}, "b": 3}


def test_quick_labels_give_the_same_series() -> None:
    registry = CollectorRegistry()
    hits = on_change(Counter("hits", "Of a cache.", ["source", "engine"], registry=registry))
    for _ in range(2):
        hits.labels("device", 0).inc()
        hits.labels("device", "0").inc()
    with pytest.raises(ValueError, match="label count"):
        hits.labels("device")
    assert registry.get_sample_value("hits_total", {"source": "device", "engine": "0"}) == 4
