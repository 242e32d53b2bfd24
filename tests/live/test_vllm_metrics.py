"""vLLM's own metrics as we count them are as vLLM counts them."""

import random
import warnings
from typing import Any

import pytest
from prometheus_client import REGISTRY, generate_latest

from service.engine.models.embedded import ensure_embedded_model

with warnings.catch_warnings(action="ignore"):
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine import FinishReason
    from vllm.v1.metrics.loggers import PrometheusStatLogger
    from vllm.v1.metrics.stats import FinishedRequestStats, IterationStats, PrefixCacheStats, SchedulerStats

    from service.engine.vllm.stat_loggers import StepMetrics


def test_series_are_what_vllm_would_tell_after_the_same_steps() -> None:
    config = AsyncEngineArgs(model=str(ensure_embedded_model(print)), enforce_eager=True).create_engine_config()
    of_vllm, ours = [_exposed_by(logger_class(config)) for logger_class in (PrometheusStatLogger, StepMetrics)]
    assert ours == pytest.approx(of_vllm)
    for name in ("inter_token_latency_seconds_count", "num_requests_running", "prompt_tokens_total"):
        assert any(value for series, value in ours.items() if series.startswith(f"vllm:{name}"))


def _exposed_by(logger: Any) -> dict[str, float]:
    chance = random.Random(3)
    for _ in range(60):
        logger.record(_scheduler_stats(chance), _iteration_stats(chance), engine_idx=0)
    lines = generate_latest(REGISTRY).decode().splitlines()
    told = (line.rpartition(" ") for line in lines if line.startswith("vllm:") and "_created" not in line)
    return {series: float(value) for series, _, value in told}


def _scheduler_stats(chance: random.Random) -> Any:
    queries = chance.choice([0, 0, 64])
    return SchedulerStats(
        num_running_reqs=chance.choice([1, 3, 3, 4]),
        num_waiting_reqs=chance.choice([0, 0, 2]),
        num_skipped_waiting_reqs=chance.choice([0, 0, 1]),
        kv_cache_usage=chance.choice([0.0, 0.25, 0.5]),
        prefix_cache_stats=PrefixCacheStats(requests=1, queries=queries, hits=queries // 2),
    )


def _iteration_stats(chance: random.Random) -> Any:
    stats = IterationStats()
    stats.num_generation_tokens = chance.randrange(5)
    stats.num_preempted_reqs = chance.choice([0, 0, 1])
    stats.prompt_token_stats.computed = stats.prompt_token_stats.total = chance.choice([0, 0, 40])
    usual_s = chance.choice([0.004, 0.03])
    stats.inter_token_latencies_iter = [usual_s * chance.choice([1.0, 1.01, 1.0, 20.0]) for _ in range(chance.randrange(5))]
    stats.time_to_first_tokens_iter = [chance.random() for _ in range(chance.randrange(2))]
    if chance.random() < 0.3:
        seconds = {name: chance.random() for name in ("e2e_latency", "queued_time", "prefill_time", "decode_time")}
        stats.finished_requests = [
            FinishedRequestStats(FinishReason.STOP, num_generation_tokens=9, max_tokens_param=16, **seconds)
        ]
    return stats
