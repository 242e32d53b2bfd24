"""Computes how much GPU memory a model's KV cache takes: for each token, and the bounded part of each turn.

The model is described by its config.json, or Mistral's params.json, as a plain dict.
"""

import math
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.engine.models.config_fields import HEAD_DIM, HEADS, HIDDEN, KV_HEADS, Config, integer, is_mla, language_model
from service.engine.models.layer_kinds import Kind, layer_kinds, window_tokens
from service.engine.models.recurrent_state import state_bytes
from service.engine.models.sparse_attention import MLA_ROW_BYTES, Compressed, compress_ratios, index_bytes

GIB = 2**30
_BYTES_OF_DTYPE = {
    "auto": 2.0, "bfloat16": 2.0, "float16": 2.0, "float32": 4.0,
    "nvfp4": 0.5625, "nvfp4_4over6": 0.5625, "int4_per_token_head": 0.5,
}  # fmt: skip
"""Bytes of an element of the KV cache. Types that are not listed, as fp8, have one byte."""
_STATES = 2
"""States that vLLM holds for a running turn with prefix caching: the current one, and the one at the end of the last block."""
_STEP_FIELDS = ("num_attention_groups", "head_dim")


@dataclass(frozen=True, slots=True)
class KvMemory:
    """KV cache of a model, in bytes over all GPUs of one replica. Copies that tensor parallelism makes are included."""

    bytes_per_token: float
    """Bytes of each token, in the layers that cache all tokens."""
    state_bytes: float = 0.0
    """Bytes of each running turn, whatever its length."""
    window_tokens: int = 0
    """Tokens that a layer with a window caches at most. 0 if no layer has a window."""
    window_bytes_per_token: float = 0.0
    """Bytes of each token in the window, in the layers that have one."""

    @property
    def bounded_bytes(self) -> float:
        """Bytes that a turn takes at most beside `bytes_per_token`: its states and full windows.

        While a long prompt is computed, vLLM also holds one step's tokens (`max_num_batched_tokens`) in the windows.
        """
        return self.state_bytes + self.window_tokens * self.window_bytes_per_token

    def bytes_of(self, tokens: int) -> float:
        """Return the bytes of a turn with this many tokens of prompt and answer."""
        in_windows = min(tokens, self.window_tokens) * self.window_bytes_per_token
        return tokens * self.bytes_per_token + self.state_bytes + in_windows

    def calls(self, gib: float, tokens: int) -> float:
        """Return how many turns of this many tokens fit into GiB of GPU memory. Infinite if they take no memory."""
        each = self.bytes_of(tokens)
        return max(0.0, gib) * GIB / each if each else math.inf

    def longest(self, gib: float) -> float:
        """Return the tokens of the longest turn that fits into GiB of GPU memory. Infinite if length takes no memory."""
        left = max(0.0, gib * GIB - self.bounded_bytes)
        return left / self.bytes_per_token if self.bytes_per_token else math.inf


def kv_memory(
    config: Config,
    *,
    kv_cache_dtype: str = "auto",
    tensor_parallel_size: int = 1,
    frees_windows: bool = True,
) -> KvMemory:
    """Compute the KV cache's memory from a model's configuration.

    `kv_cache_dtype` is vLLM's argument. `frees_windows` is false with vLLM's `disable_hybrid_kv_cache_manager`: then layers with
    a window cache all tokens. Raises `KeyError`, `TypeError` or `ValueError` if a field is missing or malformed.
    """
    text = language_model(config)
    dtype = _resolve(kv_cache_dtype, config, text)
    if ratios := compress_ratios(text):
        layers = [_compressed_layer(text, ratio, dtype, tensor_parallel_size) for ratio in ratios]
    else:
        kinds = enumerate(layer_kinds(text))
        layers = [_layer(text, index, kind, dtype, tensor_parallel_size) for index, kind in kinds]
    per_token, in_windows, state = (float(sum(column)) for column in zip(*layers, strict=True))
    if not frees_windows:
        return KvMemory(per_token + in_windows, state)
    return KvMemory(per_token, state, window_tokens(text) if in_windows else 0, in_windows)


def kv_memory_of(config: Config, engine_args: Mapping[str, Any], tensor_parallel_size: int = 1) -> KvMemory:
    """Compute the same as `kv_memory`, with vLLM's engine arguments. Raises what `kv_memory` raises."""
    return kv_memory(
        config,
        kv_cache_dtype=str(engine_args.get("kv_cache_dtype") or "auto"),
        tensor_parallel_size=tensor_parallel_size,
        frees_windows=not engine_args.get("disable_hybrid_kv_cache_manager"),
    )


def element_bytes(kv_cache_dtype: str) -> float:
    """Return the bytes of one element of the KV cache for vLLM's argument `kv_cache_dtype`."""
    return _BYTES_OF_DTYPE.get(kv_cache_dtype, 1.0)


def _layer(text: Config, index: int, kind: Kind, dtype: str, tensor_parallel_size: int) -> tuple[float, float, float]:
    """Return one layer's bytes of each token, bytes of each token in its window, and bytes of its states."""
    row = state = 0.0
    if kind in (Kind.FULL, Kind.WINDOW, Kind.FULL_AND_STATE):
        row = _row_bytes(_layer_config(text, index, kind), index, dtype, tensor_parallel_size)
    if kind in (Kind.STATE, Kind.FULL_AND_STATE):
        state = state_bytes(text, tensor_parallel_size) * _STATES
    return (0.0, row, state) if kind is Kind.WINDOW else (row, 0.0, state)


def _compressed_layer(text: Config, ratio: int, dtype: str, copies: int) -> tuple[float, float, float]:
    """Return the same as `_layer` for a layer of DeepSeek V4. Every GPU holds all of it."""
    layer = Compressed(text, is_quantized=element_bytes(dtype) < 2)
    return copies * layer.token_bytes(ratio), copies * layer.row_bytes, copies * layer.state_bytes(ratio)


def _row_bytes(layer: Config, index: int, dtype: str, tensor_parallel_size: int) -> float:
    """Return the bytes of one token in one layer with attention, over all GPUs."""
    if is_mla(layer):  # One vector for keys and values, for all heads. Every GPU holds it.
        vector = integer(layer, "kv_lora_rank") + integer(layer, "qk_rope_head_dim")
        is_sparse = bool(layer.get("index_topk")) and dtype.startswith("fp8")
        row = MLA_ROW_BYTES.get("fp8_ds_mla" if is_sparse else dtype) or vector * element_bytes(dtype)
        return (row + index_bytes(layer, index)) * tensor_parallel_size
    heads = _kv_heads(layer)
    if layer.get("kv_lora_rank"):
        width = integer(layer, "qk_nope_head_dim") + integer(layer, "qk_rope_head_dim")
        elements = 2 * width
    else:
        width = integer(layer, *HEAD_DIM, default=0) or integer(layer, *HIDDEN) // integer(layer, *HEADS)
        elements = width + integer(layer, "v_head_dim", default=width)
    # With more GPUs than heads, several GPUs hold a copy of the same head.
    return max(heads, tensor_parallel_size) * elements * element_bytes(dtype)


def _kv_heads(layer: Config) -> int:
    if layer.get("multi_query") and not layer.get("new_decoder_architecture"):
        return integer(layer, "multi_query_group_num", default=1)
    nested = (layer.get("attn_config") or {}).get("kv_n_heads")
    if layer.get("n_heads_in_group"):
        return integer(layer, *HEADS) // integer(layer, "n_heads_in_group")
    return int(nested or integer(layer, *KV_HEADS, *HEADS))


def _layer_config(text: Config, index: int, kind: Kind) -> Config:
    """Return the configuration as one layer sees it: fields of the whole model, and over them the layer's own."""
    own: dict[str, Any] = {}
    for name in (*KV_HEADS, *HEAD_DIM):
        if isinstance(value := text.get(name), list):
            own[name] = value[index]
    if kind is Kind.WINDOW:
        own |= {name.removeprefix("swa_"): value for name, value in text.items() if name.startswith("swa_")}
        own |= {name: value for name, value in (text.get("attention_other_setting") or {}).items() if name in _STEP_FIELDS}
    elif text.get("global_head_dim"):  # Gemma 4: layers that see all tokens have larger heads.
        own["head_dim"] = text["global_head_dim"]
        if text.get("attention_k_eq_v", True) and (heads := text.get("num_global_key_value_heads")):
            own["num_key_value_heads"] = heads
    if blocks := text.get("block_configs"):
        own |= blocks[index].get("attention") or {}
    per_layer = text.get("per_layer_config") or {}
    own |= per_layer.get(str(index)) or per_layer.get(index) or {}
    return ChainMap({name: value for name, value in own.items() if value is not None}, dict(text)) if own else text


def _resolve(kv_cache_dtype: str, config: Config, text: Config) -> str:
    """Return the type that vLLM takes for `auto`: fp8 if the checkpoint has scales for it, else that of the weights."""
    if kv_cache_dtype != "auto":
        return kv_cache_dtype
    quantization = config.get("quantization_config") or text.get("quantization_config") or {}
    inner = quantization.get("quantization") or {}
    scheme = quantization.get("kv_cache_scheme") or quantization.get("kv_cache_quant_algo") or inner.get("kv_cache_quant_algo")
    if isinstance(scheme, dict):
        return {8: "fp8", 4: "nvfp4"}.get(int(scheme.get("num_bits") or 0), "auto")
    return str(scheme).lower() if str(scheme).lower() in ("fp8", "nvfp4") else "auto"
