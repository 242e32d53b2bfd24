"""Finds out what each layer of a model caches: every token, a window of tokens, a state of constant size, or nothing.

Model families name this in different fields. A layer of an unknown kind counts as full attention, which caches the most.
"""

from enum import Enum, auto
from typing import Any

from service.engine.models.config_fields import CONTEXT, LAYERS, Config, integer, numbers


class Kind(Enum):
    FULL = auto()
    """Attention to all tokens. The cache grows with each token."""
    WINDOW = auto()
    """Attention to the last tokens, or to the tokens of one chunk. The cache is bounded."""
    STATE = auto()
    """Mamba, linear attention or a convolution. The state has a constant size."""
    FULL_AND_STATE = auto()
    """Attention and Mamba in the same layer."""
    NOTHING = auto()
    """Only a feed-forward network."""


_STATE_WORDS = ("linear", "mamba", "conv", "recurrent", "ssm", "kda", "delta")
_WINDOW_WORDS = ("sliding", "chunked", "local", "swa", "window")
_NOTHING_WORDS = ("mlp", "moe", "ffn", "no_op")
_LETTERS = {"M": Kind.STATE, "*": Kind.FULL, "-": Kind.NOTHING, "E": Kind.NOTHING}
"""Letters of Nemotron-H's `hybrid_override_pattern`."""
_BINARY = (("hybrid_layer_pattern", Kind.WINDOW, Kind.FULL), ("attn_type_list", Kind.FULL, Kind.STATE))
"""Fields of MiMo and MiniMax with a 1 or a 0 for each layer, and what they mean."""
_NAMES = ("layer_types", "layers_block_type", "layer_block_types")
_PATTERNS = ("sliding_window_pattern", "_sliding_window_pattern")


def layer_kinds(text: Config) -> list[Kind]:
    """Return the kind of each layer that has a cache of its own. `text` is the language model's configuration.

    Raises `KeyError` if the number of layers is unknown.
    """
    kinds = _hybrid_kinds(text) or _attention_kinds(text)
    # The last layers of Gemma 3n and 4 read the cache of earlier layers.
    own = kinds[: len(kinds) - integer(text, "num_kv_shared_layers", default=0)]
    return own if window_tokens(text) else [Kind.FULL if kind is Kind.WINDOW else kind for kind in own]


def window_tokens(text: Config) -> int:
    """Return how many tokens a layer with a window caches at most. 0 means that no layer has a window."""
    if text.get("use_sliding_window") is False:
        return 0
    if sizes := _window_list(text):
        window = max(sizes)
    else:
        window = integer(text, "attention_chunk_size", "sliding_window", "sliding_window_size", default=0)
    return window if window < integer(text, *CONTEXT, default=window + 1) else 0


def _hybrid_kinds(text: Config) -> list[Kind] | None:
    """Return the kinds of a model that says which layers have attention and which have a state. None if it does not say."""
    if listed := _listed_kinds(text):
        return listed
    layers = integer(text, *LAYERS)
    if text.get("model_type") == "falcon_h1":
        return [Kind.FULL_AND_STATE] * layers
    if (full := _layers_with_attention(text, layers)) is None:
        return None
    return [Kind.FULL if index in full else Kind.STATE for index in range(layers)]


def _listed_kinds(text: Config) -> list[Kind] | None:
    """Read a field that has an entry for each layer. None if there is none."""
    if names := next((text[name] for name in _NAMES if text.get(name)), None):
        return [_kind_of_name(str(each)) for each in names][: integer(text, *LAYERS, default=len(names))]
    if pattern := text.get("hybrid_override_pattern"):
        return [_LETTERS.get(letter, Kind.FULL) for letter in pattern]
    if blocks := text.get("block_configs"):
        return [_kind_of_block(block) for block in blocks]
    for name, one, zero in _BINARY:
        if (flags := numbers(text, name)) is not None:
            return [one if flag else zero for flag in flags]
    return None


def _layers_with_attention(text: Config, layers: int) -> set[int] | None:
    """Return the layers, counted from 0, that have attention in a model whose other layers have a state. None if unknown."""
    if linear := text.get("linear_attn_config"):
        return {int(layer) - 1 for layer in linear["full_attn_layers"]}
    for name in ("attn_layer_indices", "full_attn_idxs"):
        if (listed := numbers(text, name)) is not None:
            return set(listed)
    if period := integer(text, "attn_layer_period", default=0):
        return {layer for layer in range(layers) if layer % period == integer(text, "attn_layer_offset", default=0)}
    if interval := integer(text, "full_attention_interval", "layer_group_size", default=0):
        return {layer for layer in range(layers) if (layer + 1) % interval == 0}
    is_pure_mamba = text.get("model_type") in ("mamba", "mamba2", "falcon_mamba")
    return set() if is_pure_mamba else None


def _attention_kinds(text: Config) -> list[Kind]:
    """Return the kinds of a model with attention in every layer."""
    layers = integer(text, *LAYERS)
    if text.get("attention_chunk_size"):  # Llama 4: only layers without rotary embedding see all tokens.
        interval = integer(text, "no_rope_layer_interval", default=4)
        has_rope = numbers(text, "no_rope_layers") or [int((layer + 1) % interval != 0) for layer in range(layers)]
        return [Kind.WINDOW if rope else Kind.FULL for rope in has_rope]
    if sizes := _window_list(text):
        return [Kind.WINDOW if sizes[layer % len(sizes)] else Kind.FULL for layer in range(layers)]
    pattern: Any = next((text[name] for name in _PATTERNS if text.get(name)), None)
    if isinstance(pattern, str):  # Exaone: L is local, G is global.
        return [Kind.WINDOW if pattern[layer % len(pattern)] == "L" else Kind.FULL for layer in range(layers)]
    if pattern:
        return [Kind.WINDOW if (layer + 1) % int(pattern) else Kind.FULL for layer in range(layers)]
    if not text.get("sliding_window"):
        return [Kind.FULL] * layers
    first = integer(text, "max_window_layers", default=0) if text.get("use_sliding_window") else 0
    return [Kind.FULL] * min(first, layers) + [Kind.WINDOW] * max(0, layers - first)


def _kind_of_name(name: str) -> Kind:
    if name == "hybrid":
        return Kind.FULL_AND_STATE
    for kind, words in ((Kind.STATE, _STATE_WORDS), (Kind.WINDOW, _WINDOW_WORDS), (Kind.NOTHING, _NOTHING_WORDS)):
        if any(word in name for word in words):
            return kind
    return Kind.FULL


def _kind_of_block(block: Config) -> Kind:
    """Return the kind of a block of Nemotron-NAS, which may lack attention."""
    attention = block.get("attention") or {}
    return Kind.NOTHING if attention.get("no_op") or attention.get("replace_with_linear") else Kind.FULL


def _window_list(text: Config) -> list[int] | None:
    """Return Mistral's list of windows, one per layer and repeated. 0 is a layer without a window. None if there is no list."""
    sizes = text.get("sliding_window")
    return [int(size or 0) for size in sizes] if isinstance(sizes, list) and sizes else None
