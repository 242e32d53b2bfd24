"""What vLLM reports of each step: its own metrics, and `EngineStep` for our listeners.

Private parts in use: `PrometheusStatLogger._histogram_cls`, and that the logger's class keeps its histogram of inter-token
latencies as `histogram_inter_token_latency`. vLLM is pinned at 0.32.0.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from vllm.v1.metrics.loggers import PrometheusStatLogger, StatLoggerBase
from vllm.v1.metrics.stats import IterationStats, SchedulerStats

from service.domain import EngineStep
from service.telemetry.fast_metrics import QuickHistogram


class StepMetrics(PrometheusStatLogger):
    """vLLM's `vllm:*` metrics. The latencies of a step's tokens are counted together.

    One by one, vLLM's way, they took a sixth of the event loop's time at 64 streams (docs/performance.md).
    """

    _histogram_cls = QuickHistogram

    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: IterationStats | None,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        if iteration_stats is not None:
            latencies_s = iteration_stats.inter_token_latencies_iter
            iteration_stats.inter_token_latencies_iter = []  # This logger is the last that sees them.
            self.histogram_inter_token_latency[engine_idx].observe_many(latencies_s)
        super().record(scheduler_stats, iteration_stats, mm_cache_stats, engine_idx)


class StepListener(StatLoggerBase):
    """vLLM's statistics of each step, which it gives on the event loop, as `EngineStep`."""

    def __init__(self, listeners: Sequence[Callable[[EngineStep], None]], vllm_config: Any, engine_index: int = 0) -> None:
        self._listeners = listeners

    def record(
        self, scheduler_stats: SchedulerStats | None, iteration_stats: IterationStats | None, *args: Any, **kwargs: Any
    ) -> None:
        if scheduler_stats is None:
            return
        step = EngineStep(
            at_s=time.monotonic(),
            prefilled_tokens=iteration_stats.prompt_token_stats.computed if iteration_stats else 0,
            generated_tokens=iteration_stats.num_generation_tokens if iteration_stats else 0,
            running=scheduler_stats.num_running_reqs,
            # Not those whose grammar is being compiled: they do not wait for a place in the batch.
            waiting=scheduler_stats.num_waiting_reqs,
            kv_usage=scheduler_stats.kv_cache_usage,
        )
        for listener in self._listeners:
            listener(step)

    def log_engine_initialized(self) -> None:
        pass
