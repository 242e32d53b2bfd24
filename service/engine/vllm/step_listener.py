"""Passes vLLM's statistics of each step to our listeners as `EngineStep`. vLLM's own `vllm:*` metrics are separate."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import IterationStats, SchedulerStats

from service.domain import EngineStep


class StepListener(StatLoggerBase):
    """Receives vLLM's statistics of each step, on the event loop, and calls the listeners with an `EngineStep`."""

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
            # Without turns whose grammar is being compiled: they do not wait for a place in the batch.
            waiting=scheduler_stats.num_waiting_reqs,
            kv_usage=scheduler_stats.kv_cache_usage,
        )
        for listener in self._listeners:
            listener(step)

    def log_engine_initialized(self) -> None:
        pass
