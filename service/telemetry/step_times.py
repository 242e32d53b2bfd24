"""How long the engine's steps take."""

from prometheus_client import Histogram

from service.domain import EngineStep


class StepTimes:
    """Only a step that follows another at once shows how long it took: before it the engine may have been idle."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._last: EngineStep | None = None

    def on_step(self, step: EngineStep) -> None:
        """Listens to the engine."""
        last, self._last = self._last, step
        if last and last.running + last.waiting:
            self._histogram.observe(step.at_s - last.at_s)
