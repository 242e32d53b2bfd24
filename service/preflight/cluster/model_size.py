"""Estimate of the GPU memory that a model needs, from its repository: weights, and KV cache of each token."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.weights.files import wanted

Json = dict[str, Any]

KIB, GIB = 2**10, 2**30
_BYTES_OF_DTYPE = {"F64": 8, "F32": 2, "I64": 8, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "U16": 2, "F4": 0.5, "F6_E2M3": 0.75}
"""Bytes of a weight after vLLM has loaded it. By default vLLM turns F32 into BF16. Types that are not listed have one byte."""
_BYTES_OF_KV_DTYPE = {"auto": 2.0, "bfloat16": 2.0, "float16": 2.0, "float32": 4.0, "nvfp4": 0.5625}
_NO_CACHE = ("linear", "mamba", "conv", "recurrent")
_DIGITS = {"k": 10**3, "m": 10**6, "K": 2**10, "M": 2**20}


@dataclass(frozen=True)
class ModelSize:
    weights_bytes: float
    kv_bytes_per_token: float
    kv_heads: int
    """Number of KV heads. With more GPUs than heads, several GPUs hold a copy of a head. 0 means unknown."""
    max_tokens: int
    """Longest context of the model, in tokens. 0 means unknown."""


# SmolLM2-135M in BF16: 30 layers, 3 heads of 64.
EMBEDDED = ModelSize(weights_bytes=269e6, kv_bytes_per_token=30 * 2 * 3 * 64 * 2, kv_heads=3, max_tokens=8192)


def size_of(info: Json, config: Json, engine_args: Mapping[str, Any]) -> ModelSize:
    """Compute the size from the hub's answer about the repository and its config.json.

    Raises `KeyError` or `TypeError` when a field is missing.
    """
    text = config.get("text_config") or config
    return ModelSize(
        weights_bytes=_weights_bytes(info, config, engine_args),
        kv_bytes_per_token=_kv_elements(text) * kv_element_bytes(engine_args),
        kv_heads=0 if "kv_lora_rank" in text else _kv_heads(text),
        max_tokens=int(text.get("max_position_embeddings") or 0),
    )


def kv_element_bytes(engine_args: Mapping[str, Any]) -> float:
    """Return the bytes of one KV cache element. The `fp8` types have one byte."""
    return _BYTES_OF_KV_DTYPE.get(str(engine_args.get("kv_cache_dtype", "auto")), 1.0)


def context_tokens(engine_args: Mapping[str, Any]) -> int:
    """Return `max_model_len` in tokens. vLLM also accepts `16k`. 0 means it is not set, and vLLM uses the model's context."""
    given = str(engine_args.get("max_model_len") or 0)
    scale = _DIGITS.get(given[-1], 1)
    try:
        return max(0, int(float(given.rstrip("kmKM")) * scale))
    except ValueError:
        return 0


def _weights_bytes(info: Json, config: Json, engine_args: Mapping[str, Any]) -> float:
    is_quantized = "quantization_config" in config
    by_dtype = (info.get("safetensors") or {}).get("parameters")
    if not by_dtype:
        files = {each["rfilename"]: each.get("size") or 0 for each in info["siblings"]}
        total = float(sum(size for name, size in wanted(files).items() if not name.endswith((".json", ".txt", ".md"))))
        if not total:
            raise KeyError("siblings")
        return total
    total = float(sum(count * _BYTES_OF_DTYPE.get(dtype, 1) for dtype, count in by_dtype.items()))
    # vLLM quantizes the weights while it loads them.
    return total / 2 if engine_args.get("quantization") == "fp8" and not is_quantized else total


def _kv_elements(text: Json) -> float:
    """Return the KV cache elements of one token in all layers.

    A layer with a sliding window counts as a full one, so the estimate is rather too high.
    """
    kinds = text.get("layer_types")
    layers = sum(not any(word in kind for word in _NO_CACHE) for kind in kinds) if kinds else int(text["num_hidden_layers"])
    if "kv_lora_rank" in text:  # Latent attention stores one compressed vector for keys and values.
        return layers * (int(text["kv_lora_rank"]) + int(text["qk_rope_head_dim"]))
    head_dim = text.get("head_dim") or int(text["hidden_size"]) // int(text["num_attention_heads"])
    return layers * 2 * _kv_heads(text) * int(head_dim)


def _kv_heads(text: Json) -> int:
    return int(text.get("num_key_value_heads") or text["num_attention_heads"])
