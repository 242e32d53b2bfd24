"""The memory of a model: its context, its weights, its KV cache, and how many calls given GPUs keep."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from service.engine.models.context_length import asked_context, model_context
from service.engine.models.gpu_memory import DEFAULT_UTILIZATION, OVERHEAD_GIB, GpuMemory
from service.engine.models.kv_memory import GIB, KvMemory, kv_memory_of
from service.engine.models.model_folder import ModelFolder
from service.engine.models.weight_size import elements_by_dtype, loaded_bytes
from service.errors import StartError
from service.model_report.report import Calls, Memory
from service.weights.files import wanted, weights_bytes

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, IndexError)
"""What a configuration can raise that lacks a field, or has one of another type."""


def memory_of(
    folder: ModelFolder,
    engine_args: Mapping[str, Any],
    *,
    call_tokens: int,
    gpus_gib: Sequence[float],
    kv_gib: float | None,
) -> Memory:
    """Return what is known. `gpus_gib` are sizes of one GPU to compare; `kv_gib` is the KV cache's memory, of all GPUs.

    Raises `StartError` if an engine argument that is needed is not a number.
    """
    tensor, pipeline = (int(_number(engine_args, f"{kind}_parallel_size", 1)) for kind in ("tensor", "pipeline"))
    utilization = _number(engine_args, "gpu_memory_utilization", DEFAULT_UTILIZATION)
    weights, weights_from = _weights(folder, engine_args)
    context = _context(folder, engine_args)
    call_tokens = min(call_tokens, context or call_tokens)
    try:
        kv = kv_memory_of(folder.config, engine_args, tensor)
    except _MALFORMED:
        kv = None
    rows = [_calls(kv, call_tokens, None, kv_gib)] if kv_gib is not None else []
    for gib in gpus_gib:
        usable = GpuMemory(tensor * pipeline, gib, utilization).gib
        rows.append(_calls(kv, call_tokens, gib, usable - weights / GIB if weights is not None else None))
    return Memory(
        context_tokens=context,
        weights_bytes=round(weights) if weights is not None else None,
        weights_from=weights_from,
        kv_bytes_per_token=kv.bytes_per_token if kv else None,
        window_tokens=kv.window_tokens if kv else 0,
        window_bytes_per_token=kv.window_bytes_per_token if kv else 0,
        state_bytes=kv.state_bytes if kv else 0,
        call_tokens=call_tokens,
        call_bytes=kv.bytes_of(call_tokens) if kv else None,
        assumed=(
            f"kv_cache_dtype {engine_args.get('kv_cache_dtype') or 'auto'}; a replica of {tensor * pipeline} GPU(s); vLLM uses "
            f"{utilization:.0%} of them, less {OVERHEAD_GIB} GiB each for activations and CUDA graphs, less the weights; "
            "calls that share no prefix"
        ),
        calls=rows,
    )


def _number(engine_args: Mapping[str, Any], name: str, default: float) -> float:
    try:
        return float(engine_args.get(name) or default)
    except (TypeError, ValueError):
        raise StartError(f"FIRSTWORD_ENGINE_ARGS: {name} must be a number; given: {engine_args[name]!r}.") from None


def _calls(kv: KvMemory | None, tokens: int, gpu_gib: float | None, kv_gib: float | None) -> Calls:
    kept = kv.calls(kv_gib, tokens) if kv is not None and kv_gib is not None else math.inf
    return Calls(
        gpu_gib=gpu_gib,
        kv_gib=round(kv_gib, 2) if kv_gib is not None else None,
        calls=int(kept) if math.isfinite(kept) else None,
    )


def _context(folder: ModelFolder, engine_args: Mapping[str, Any]) -> int | None:
    if asked := asked_context(engine_args):
        return asked
    try:
        limit = folder.document("tokenizer_config.json").get("model_max_length")
        return model_context(folder.config, float(limit or math.inf)) or None
    except _MALFORMED:
        return None


def _weights(folder: ModelFolder, engine_args: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Return the bytes of the weights on the GPUs, and where that is known from."""
    files = [name for name in wanted(folder.files) if name.endswith(".safetensors") and "/" not in name]
    index = folder.document("model.safetensors.index.json")
    shards = set((index.get("weight_map") or {}).values())
    if files and shards <= set(files):
        try:
            elements = sum((elements_by_dtype(folder.path / name) for name in files), Counter[str]())
            return loaded_bytes(elements, folder.config, engine_args), "the headers of the safetensors files"
        except (OSError, *_MALFORMED):  # They are not here, or only pointers to them.
            pass
    total = (index.get("metadata") or {}).get("total_size")
    if isinstance(total, int | float) and total > 0:
        return float(total), "the index of the safetensors files"
    if is_whole := weights_bytes(folder.files):
        return float(is_whole), "the sizes of the files"
    return None, None
