"""Metrics for events on every token, step or turn."""

import pytest
from prometheus_client import CollectorRegistry, Counter

from service.telemetry.fast_metrics import with_quick_labels


def test_quick_labels_give_the_same_series() -> None:
    registry = CollectorRegistry()
    hits = with_quick_labels(Counter("hits", "Of a cache.", ["source", "engine"], registry=registry))
    for _ in range(2):
        hits.labels("device", 0).inc()
        hits.labels("device", "0").inc()
    with pytest.raises(ValueError, match="label count"):
        hits.labels("device")
    assert registry.get_sample_value("hits_total", {"source": "device", "engine": "0"}) == 4
