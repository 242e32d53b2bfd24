"""Measures how long the engine's steps take."""

from prometheus_client import Histogram

from service.domain import EngineStep


class StepTimes:
    """Records the time of each step that directly follows another. Before other steps the engine may have been idle."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._last: EngineStep | None = None

    def on_step(self, step: EngineStep) -> None:
        """Record a step. The engine calls this after each step."""
        last, self._last = self._last, step
        if last and last.running + last.waiting:
            self._histogram.observe(step.at_s - last.at_s)
