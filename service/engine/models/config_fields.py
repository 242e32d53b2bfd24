"""Reads a model's config.json, or Mistral's params.json: its language model, and the fields under their many names."""

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

Config = Mapping[str, Any]

LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
HIDDEN = ("hidden_size", "dim", "d_model", "n_embd")
HEADS = ("num_attention_heads", "n_heads", "n_head")
KV_HEADS = ("num_key_value_heads", "n_kv_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num", "num_attention_groups")
HEAD_DIM = ("head_dim", "hidden_size_per_head", "attention_head_dim", "kv_channels")
CONTEXT = ("max_position_embeddings", "max_seq_len", "model_max_length", "seq_length")
_NESTED = ("thinker_config", "text_config", "llm_config", "language_config")

# Published configurations of these families leave out fields that have the default of transformers.
_FAMILY_DEFAULTS: dict[str, dict[str, Any]] = {
    "gemma2": {"sliding_window_pattern": 2},
    "gemma3_text": {
        "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 4096, "sliding_window_pattern": 6,
        "max_position_embeddings": 131072,
    },
    "cohere2": {"sliding_window_pattern": 4},
    "gpt_oss": {"sliding_window_pattern": 2},
    "jamba": {"attn_layer_period": 8, "attn_layer_offset": 4},
    "qwen3_next": {"full_attention_interval": 4},
    "kimi_linear": {"kv_lora_rank": 512, "qk_rope_head_dim": 64},
}  # fmt: skip


def language_model(config: Config) -> Config:
    """Return the part of the configuration that describes the language model. A multimodal model nests it."""
    for name in _NESTED:
        if isinstance(nested := config.get(name), Mapping) and nested:
            return language_model(nested)
    defaults = _FAMILY_DEFAULTS.get(str(config.get("model_type") or ""))
    return ChainMap(dict(config), defaults) if defaults else config


def integer(config: Config, *names: str, default: int | None = None) -> int:
    """Return the first of the named fields that is set.

    Raises `KeyError` if none is set and there is no default, and `TypeError` or `ValueError` if the field is not a number.
    """
    for name in names:
        if (value := config.get(name)) is not None:
            return int(value)
    if default is None:
        raise KeyError(names[0])
    return default


def numbers(config: Config, name: str) -> list[int] | None:
    """Return a field that is a list of integers. None if it is missing, empty or something else."""
    value = config.get(name)
    return [int(each) for each in value] if isinstance(value, list | tuple) and value else None


def is_mla(text: Config) -> bool:
    """Tell whether the model has latent attention, whose cache has one compressed vector for keys and values."""
    # vLLM expands the vectors of MiniCPM3 to whole heads.
    return bool(text.get("kv_lora_rank")) and text.get("model_type") != "minicpm3"
