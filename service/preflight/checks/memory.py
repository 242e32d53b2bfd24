"""GPU memory, compared with what the model needs: its weights, and KV cache for at least one call of the full context."""

import math
import re
from collections.abc import Iterator

from service.engine.models.context_length import asked_context
from service.engine.models.gpu_memory import DEFAULT_UTILIZATION, GpuMemory
from service.engine.models.kv_memory import KvMemory
from service.preflight.checks.definition import pool_check
from service.preflight.cluster.client import LookupFailed
from service.preflight.cluster.model_size import GIB, KIB, ModelSize, embedded_size
from service.preflight.cluster.nodes import labels_of
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, number, passed, skipped, warned
from service.preflight.kubernetes_types import Json
from service.preflight.values.demand import is_from_hub
from service.preflight.values.pool_values import Pool
from service.settings import EMBEDDED_MODEL

_FEW_CALLS = 8
"""KV cache for fewer calls of the full context than this is a warning."""


@pool_check("pool.parallelism", "The engine's parallelism matches the pod's GPUs")
def parallelism(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if not pool.gpu.enabled:
        return
    tensor, pipeline = _parallel(pool)
    engine, available = tensor * pipeline, pool.gpu.count * pool.nodes
    if engine == available:
        yield passed(f"{number(available, 'GPU')} per replica")
        return
    seen = f"engineArgs use {tensor} x {pipeline} GPUs (tensor x pipeline parallelism), and a replica has {available}"
    fix = (
        "Remove tensor_parallel_size and pipeline_parallel_size: the chart sets them from gpu.count and nodes. "
        "Or set gpu.count to match."
    )
    yield failed(seen, fix) if engine > available else warned(f"{seen}, so some GPUs stay idle", fix)


@pool_check("pool.gpu-memory", "Weights and KV cache fit into GPU memory")
def gpu_memory(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if not pool.gpu.enabled:
        return
    gpu_gib = _gpu_gib(pool, snapshot.usable(pool))
    if not gpu_gib and not snapshot.usable(pool):
        yield skipped("no node matches")
        return
    if not gpu_gib:
        label = f"{pool.gpu.resource}.memory"
        yield warned(f"no matching node has the label {label}", "Set gpu.memoryGiB, or install GPU feature discovery.")
        return
    try:
        size = model_size(snapshot, pool)
    except LookupFailed as why:
        yield warned(f"the model's size is unknown: {why}", "Set model.weightsGiB and model.kvKiBPerToken.")
        return
    given = float(pool.engine_args.get("gpu_memory_utilization", DEFAULT_UTILIZATION))
    yield _compare(pool, size, GpuMemory(math.prod(_parallel(pool)), gpu_gib, given))


def model_size(snapshot: Snapshot, pool: Pool) -> ModelSize:
    """Take the model's size from the values, and what they do not set from the model hub. Raises `LookupFailed`."""
    model, (tensor, _) = pool.model, _parallel(pool)
    given_kv = KvMemory(model.kv_kib_per_token * KIB) if model.kv_kib_per_token else None
    if model.weights_gib and given_kv:
        return ModelSize(model.weights_gib * GIB, given_kv, max_tokens=0)
    if model.name == EMBEDDED_MODEL:
        return embedded_size(pool.engine_args, tensor)
    if not is_from_hub(pool):
        raise LookupFailed(f"{model.name} is a folder, which preflight cannot read")
    if snapshot.hub is None or pool.cache.offline:
        raise LookupFailed("--offline or cache.offline forbids a query to the model hub")
    from_hub = snapshot.hub.size(pool, tensor)
    return ModelSize(model.weights_gib * GIB or from_hub.weights_bytes, given_kv or from_hub.kv, from_hub.max_tokens)


def _compare(pool: Pool, size: ModelSize, memory: GpuMemory) -> Found:
    weights_gib = size.weights_bytes / GIB
    has = f"the engine can use {memory.gib:.1f} GiB ({memory})"
    fix = f"Use more or larger GPUs{'' if pool.engine_args.get('quantization') else ', or a quantized model'}."
    if weights_gib >= memory.gib:
        return failed(f"the weights take {weights_gib:.1f} GiB, and {has}", fix)
    left_gib = memory.gib - weights_gib
    longest = size.kv.longest(left_gib)
    asked = asked_context(pool.engine_args) or size.max_tokens
    calls = size.kv.calls(left_gib, asked)
    tokens = calls * asked if asked else longest
    kept = f"{int(tokens):,} tokens" if math.isfinite(tokens) else "any number of tokens"
    seen = f"the weights take {weights_gib:.1f} GiB and leave KV cache for {kept}; {has}"
    if not asked:
        return warned(f"{seen}. The context length is unknown", "Set engineArgs.max_model_len to the longest prompt plus answer.")
    if calls < 1:
        shorter = "" if math.isinf(longest) else f"Set engineArgs.max_model_len to {max(1, int(longest) // 1024)}k or less, or "
        fix = f"{shorter or 'Set '}kv_cache_dtype to fp8. {fix}"
        return failed(f"{seen}. One call of the full context takes {asked:,}", fix)
    seen = f"{seen}. That is {calls:.1f} calls of the full context ({asked:,})"
    if calls < _FEW_CALLS:
        return warned(seen, "Lower engineArgs.max_model_len to what calls need. Other calls wait or get a refusal.")
    return passed(seen)


def _gpu_gib(pool: Pool, nodes: list[Json]) -> float:
    """Return the GiB of the smallest GPU that the pool may get. 0 means unknown.

    The label of GPU feature discovery is in MiB, and the size in a MIG name is in GB.
    """
    label = f"{pool.gpu.resource}.memory"
    by_label = [int(value) / 1024 for node in nodes if (value := labels_of(node).get(label, "")).isdigit()]
    if by_label:
        return min(by_label)
    if pool.gpu.memory_gib:
        return pool.gpu.memory_gib
    named = re.search(r"mig-\d+g\.(\d+)gb", pool.gpu.resource)
    return int(named[1]) * 1e9 / GIB if named else 0.0


def _parallel(pool: Pool) -> tuple[int, int]:
    """Return tensor and pipeline parallelism. The chart sets both, and engineArgs may override them."""

    def size(name: str, otherwise: int) -> int:
        given = pool.engine_args.get(name)
        return given if isinstance(given, int) and given > 0 else otherwise

    return size("tensor_parallel_size", pool.gpu.count), size("pipeline_parallel_size", pool.nodes)
