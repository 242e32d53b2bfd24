"""Metrics for events on every token, step or turn. They avoid prometheus_client's cost per call."""

import functools
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

M = TypeVar("M", bound=MetricWrapperBase)


class LocalHistogram:
    """Histogram of the gaps between one turn's frames, in seconds.

    One thread uses it, so it needs no lock. A tick costs one binary search over the bucket bounds.
    """

    __slots__ = ("_bounds", "_last_s", "counts", "sum_s")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._last_s: float | None = None
        self.counts = [0] * (len(bounds) + 1)
        self.sum_s = 0.0

    def tick(self, now_s: float) -> None:
        """Record a frame that is sent at `now_s`, in seconds of a monotonic clock."""
        if self._last_s is not None:
            gap_s = now_s - self._last_s
            self.counts[bisect_left(self._bounds, gap_s)] += 1
            self.sum_s += gap_s
        self._last_s = now_s


class MergingHistogram(Collector):
    """A Prometheus histogram without labels. It adds up the `LocalHistogram`s of turns."""

    def __init__(self, name: str, help_text: str, bounds: Sequence[float], registry: CollectorRegistry) -> None:
        self._name = name
        self._help_text = help_text
        self._bounds = tuple(bounds)
        # Replaced as a whole and never changed in place, so that the scraper's thread reads consistent values.
        self._merged: tuple[tuple[int, ...], float] = ((0,) * (len(bounds) + 1), 0.0)
        registry.register(self)

    def start(self) -> LocalHistogram:
        """Return an empty histogram with the same bucket bounds, for one turn."""
        return LocalHistogram(self._bounds)

    def merge(self, local: LocalHistogram) -> None:
        """Add the counts of one turn. Call this on one thread only."""
        counts, sum_s = self._merged
        self._merged = tuple(old + new for old, new in zip(counts, local.counts, strict=True)), sum_s + local.sum_s

    def collect(self) -> Iterable[HistogramMetricFamily]:
        counts, sum_s = self._merged
        bounds = [str(float(bound)) for bound in self._bounds] + ["+Inf"]
        yield HistogramMetricFamily(
            self._name, self._help_text, buckets=list(zip(bounds, accumulate(counts), strict=True)), sum_value=sum_s
        )


def with_quick_labels(metric: M) -> M:
    """Return the metric with a cached `labels` method. The original makes strings and a tuple, and takes a lock, in each call.

    Use this only for a metric whose series are never removed.
    """
    metric.labels = functools.cache(metric.labels)  # type: ignore[method-assign]
    return metric
