"""Estimate of the GPU memory that a model needs, from its repository: weights, and KV cache of each token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.engine.models.context_length import model_context
from service.engine.models.kv_memory import KvMemory, kv_memory_of
from service.engine.models.weight_size import loaded_bytes
from service.weights.files import wanted

Json = dict[str, Any]

KIB, GIB = 2**10, 2**30


# SmolLM2-135M.
_EMBEDDED = {
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "hidden_size": 576,
    "max_position_embeddings": 8192,
}
_EMBEDDED_WEIGHTS_BYTES = 269e6


@dataclass(frozen=True)
class ModelSize:
    weights_bytes: float
    kv: KvMemory
    """KV cache over all GPUs of one replica."""
    max_tokens: int
    """Longest context of the model, in tokens. 0 means unknown."""


def size_of(info: Json, config: Json, engine_args: Mapping[str, Any], tensor_parallel_size: int = 1) -> ModelSize:
    """Compute the size from the hub's answer about the repository and its config.json or params.json.

    Raises `KeyError`, `TypeError` or `ValueError` when a field is missing or malformed.
    """
    return ModelSize(
        weights_bytes=_weights_bytes(info, config, engine_args),
        kv=kv_memory_of(config, engine_args, tensor_parallel_size),
        max_tokens=model_context(config),
    )


def embedded_size(engine_args: Mapping[str, Any], tensor_parallel_size: int = 1) -> ModelSize:
    """Return the size of the embedded model in BF16."""
    kv = kv_memory_of(_EMBEDDED, engine_args, tensor_parallel_size)
    return ModelSize(_EMBEDDED_WEIGHTS_BYTES, kv, _EMBEDDED["max_position_embeddings"])


def _weights_bytes(info: Json, config: Json, engine_args: Mapping[str, Any]) -> float:
    by_dtype = (info.get("safetensors") or {}).get("parameters")
    if not by_dtype:
        files = {each["rfilename"]: each.get("size") or 0 for each in info["siblings"]}
        total = float(sum(size for name, size in wanted(files).items() if not name.endswith((".json", ".txt", ".md"))))
        if not total:
            raise KeyError("siblings")
        return total
    return loaded_bytes(by_dtype, config, engine_args)
