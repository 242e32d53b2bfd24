"""KV cache of DeepSeek's sparse attention: the index that chooses tokens (V3.2, GLM-5), and compressed tokens (V4)."""

from collections.abc import Iterable

from service.engine.models.config_fields import LAYERS, Config, integer, numbers

MLA_ROW_BYTES = {"fp8_ds_mla": 656.0, "nvfp4_ds_mla": 352.0}
"""Bytes of a latent vector and its scales, for types of the KV cache with their own layout."""
_RATIOS = {"compressed_sparse_attention": 4, "heavily_compressed_attention": 128}
_SPARSE = 4
"""The compression ratio of V4's layers that have an index."""


def index_bytes(layer: Config, index: int) -> float:
    """Return the bytes of one token in the index of one layer: fp8, with a scale of 4 bytes for each 128 elements. 0 if none."""
    if not layer.get("index_topk") or _shares_index(layer, index):
        return 0.0
    width = integer(layer, "index_head_dim", default=128)
    return width + width // 128 * 4


def _shares_index(layer: Config, index: int) -> bool:
    """Tell whether the layer uses an earlier layer's choice of tokens, and so has no index."""
    if types := layer.get("indexer_types"):
        return index < len(types) and types[index] == "shared"
    if pattern := layer.get("index_topk_pattern"):
        return index < len(pattern) and pattern[index] == "S"
    frequency, first = integer(layer, "index_topk_freq", default=1), integer(layer, "index_skip_topk_offset", default=2)
    return max(index - first + 1, 0) % max(1, frequency) != 0


def compress_ratios(text: Config) -> list[int] | None:
    """Return how many tokens each layer of DeepSeek V4 stores as one. 0 means a layer with only a window. None if not V4."""
    if text.get("model_type") != "deepseek_v4" and "compress_ratios" not in text:
        return None
    if ratios := numbers(text, "compress_ratios"):
        return ratios[: integer(text, *LAYERS)]
    rates = _RATIOS | (text.get("compress_rates") or {})
    names: Iterable[str] = text["layer_types"]
    return [int(rates.get(name, 0)) for name in names]


class Compressed:
    """Sizes of one layer of DeepSeek V4. Each layer also has a window of tokens that are not compressed."""

    def __init__(self, text: Config, *, is_quantized: bool) -> None:
        self._width, self._index_width = integer(text, "head_dim"), integer(text, "index_head_dim", default=128)
        # fp8: one byte for each element, but 2 for those with rotary embedding, and 8 bytes of scales.
        rotary = integer(text, "qk_rope_head_dim", default=64)
        self.row_bytes = float(self._width + rotary + 8 if is_quantized else 2 * self._width)

    def token_bytes(self, ratio: int) -> float:
        """Return the bytes of each token, which is its share of a compressed one."""
        if not ratio:
            return 0.0
        index = self._index_width + self._index_width // 128 * 4 if ratio == _SPARSE else 0
        return (self.row_bytes + index) / ratio

    def state_bytes(self, ratio: int) -> float:
        """Return the bytes of the tokens that wait to be compressed, in float32."""
        if not ratio:
            return 0.0
        overlap = 2 if ratio == _SPARSE else 1
        width = self._width + (self._index_width if ratio == _SPARSE else 0)
        return overlap * ratio * 2 * overlap * width * 4.0
