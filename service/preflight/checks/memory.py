"""GPU memory against what the model needs: weights, and KV cache for at least one call of the asked context."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from service.preflight.checks.definition import pool_check
from service.preflight.cluster.client import CouldNotLook
from service.preflight.cluster.model_size import EMBEDDED, GIB, KIB, ModelSize, context_tokens
from service.preflight.cluster.nodes import labels_of
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, doubtful, good, number, skipped, wrong
from service.preflight.kubernetes_types import Json
from service.preflight.values.demand import is_from_hub
from service.preflight.values.pool_values import Pool
from service.settings import EMBEDDED_MODEL

DEFAULT_UTILIZATION = 0.92
"""vLLM's."""
OVERHEAD_GIB = 1.5
"""Of each GPU, for activations, CUDA graphs and libraries; it grows with `max_num_batched_tokens`."""
_FEW_CALLS = 8


@dataclass(frozen=True)
class Room:
    """Of one replica, over all its GPUs."""

    gpus: int
    gpu_gib: float
    utilization: float

    @property
    def gib(self) -> float:
        return self.gpus * (self.gpu_gib * self.utilization - OVERHEAD_GIB)

    def __str__(self) -> str:
        return f"{number(self.gpus, 'GPU')} of {self.gpu_gib:.1f} GiB at {self.utilization:g}, less {OVERHEAD_GIB} each"


@pool_check("pool.parallelism", "The engine's parallelism fits the pod's GPUs")
def parallelism(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    if not pool.gpu.enabled:
        return
    tensor, pipeline = _parallel(pool)
    engine, there = tensor * pipeline, pool.gpu.count * pool.nodes
    if engine == there:
        yield good(f"{number(there, 'GPU')} a replica")
        return
    seen = f"engineArgs ask for {tensor} x {pipeline} GPUs (tensor x pipeline), and a replica has {there}"
    fix = "Leave tensor_parallel_size and pipeline_parallel_size out: gpu.count and nodes set them. Or set gpu.count to match."
    yield wrong(seen, fix) if engine > there else doubtful(f"{seen}: some stay idle", fix)


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
        yield doubtful(f"no node that matches has the label {label}", "Set gpu.memoryGiB, or install GPU feature discovery.")
        return
    try:
        size = model_size(snapshot, pool)
    except CouldNotLook as why:
        yield doubtful(f"how large the model is, is not known: {why}", "Set model.weightsGiB and model.kvKiBPerToken.")
        return
    given = float(pool.engine_args.get("gpu_memory_utilization", DEFAULT_UTILIZATION))
    tensor, pipeline = _parallel(pool)
    yield _judge(pool, size, Room(tensor * pipeline, gpu_gib, given), tensor)


def model_size(snapshot: Snapshot, pool: Pool) -> ModelSize:
    """From the values; what they leave out from the hub. Raises `CouldNotLook`."""
    model = pool.model
    if model.weights_gib and model.kv_kib_per_token:
        return ModelSize(model.weights_gib * GIB, model.kv_kib_per_token * KIB, kv_heads=0, max_tokens=0)
    if model.name == EMBEDDED_MODEL:
        return EMBEDDED
    if not is_from_hub(pool):
        raise CouldNotLook(f"{model.name} is a folder")
    if snapshot.hub is None or pool.cache.offline:
        raise CouldNotLook("the model hub is not asked (--offline or cache.offline)")
    told = snapshot.hub.size(pool)
    return ModelSize(
        weights_bytes=model.weights_gib * GIB or told.weights_bytes,
        kv_bytes_per_token=model.kv_kib_per_token * KIB or told.kv_bytes_per_token,
        kv_heads=told.kv_heads,
        max_tokens=told.max_tokens,
    )


def _judge(pool: Pool, size: ModelSize, room: Room, tensor: int) -> Found:
    weights_gib = size.weights_bytes / GIB
    has = f"{room.gib:.1f} GiB are there ({room})"
    fix = f"Take more or larger GPUs{'' if pool.engine_args.get('quantization') else ', or a quantized model'}."
    if weights_gib >= room.gib:
        return wrong(f"the weights take {weights_gib:.1f} GiB, and {has}", fix)
    # More GPUs than KV heads: each head is kept several times.
    copies = max(1.0, tensor / size.kv_heads) if size.kv_heads else 1.0
    tokens = int((room.gib - weights_gib) * GIB / (size.kv_bytes_per_token * copies))
    asked = context_tokens(pool.engine_args) or size.max_tokens
    seen = f"weights {weights_gib:.1f} GiB, and KV cache for {tokens:,} tokens; {has}"
    if not asked:
        return doubtful(f"{seen}. The context is not known", "Set engineArgs.max_model_len to the longest prompt and answer.")
    calls = tokens / asked
    if calls < 1:
        fix = f"Set engineArgs.max_model_len to {max(1, tokens // 1024)}k or less, or kv_cache_dtype to fp8. {fix}"
        return wrong(f"{seen}. One call of the whole context takes {asked:,}", fix)
    told = f"{seen}: {calls:.1f} calls of the whole context ({asked:,})"
    if calls < _FEW_CALLS:
        return doubtful(told, "Set engineArgs.max_model_len to what calls need: the rest of them wait or are refused.")
    return good(told)


def _gpu_gib(pool: Pool, nodes: list[Json]) -> float:
    """Of the smallest that the pool may get; 0: not known. GPU feature discovery labels in MiB, MIG names are in GB."""
    label = f"{pool.gpu.resource}.memory"
    by_label = [int(value) / 1024 for node in nodes if (value := labels_of(node).get(label, "")).isdigit()]
    if by_label:
        return min(by_label)
    if pool.gpu.memory_gib:
        return pool.gpu.memory_gib
    named = re.search(r"mig-\d+g\.(\d+)gb", pool.gpu.resource)
    return int(named[1]) * 1e9 / GIB if named else 0.0


def _parallel(pool: Pool) -> tuple[int, int]:
    """Tensor and pipeline: the chart's, which engineArgs may override."""

    def size(name: str, otherwise: int) -> int:
        given = pool.engine_args.get(name)
        return given if isinstance(given, int) and given > 0 else otherwise

    return size("tensor_parallel_size", pool.gpu.count), size("pipeline_parallel_size", pool.nodes)
