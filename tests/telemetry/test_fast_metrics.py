"""Metrics for what happens with every token, step or turn."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service.telemetry.fast_metrics import QuickHistogram, with_quick_labels


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


def test_quick_labels_give_the_same_series() -> None:
    registry = CollectorRegistry()
    hits = with_quick_labels(Counter("hits", "Of a cache.", ["source", "engine"], registry=registry))
    for _ in range(2):
        hits.labels("device", 0).inc()
        hits.labels("device", "0").inc()
    with pytest.raises(ValueError, match="label count"):
        hits.labels("device")
    assert registry.get_sample_value("hits_total", {"source": "device", "engine": "0"}) == 4
