"""Bytes of the state that a layer without attention keeps for a turn: Mamba, linear attention, or a convolution.

The state does not grow with the turn. It has two parts: the last inputs of a convolution, and a recurrent matrix.
"""

from service.engine.models.config_fields import HEAD_DIM, HEADS, HIDDEN, Config, integer

_BYTES = 2
"""Bytes of an element, as vLLM computes in 16 bits."""
_BYTES_OF_DTYPE = {"float32": 4, "bfloat16": 2, "float16": 2}
_DTYPE_FIELDS = ("mamba_ssm_cache_dtype", "mamba_ssm_dtype")
_CONV = ("linear_conv_kernel_dim", "conv_kernel", "mamba_d_conv")
_STATE_SIZE = ("ssm_state_size", "mamba_d_state", "state_size")
_MAMBA2_HEADS = ("mamba_num_heads", "mamba_n_heads", "n_mamba_heads", "num_heads")


def state_bytes(text: Config, tensor_parallel_size: int = 1) -> float:
    """Return the bytes of one layer's state for one turn, over all GPUs of the tensor parallelism.

    Raises `KeyError`, `TypeError` or `ValueError` if the configuration does not describe a known kind of state.
    """
    if "conv_L_cache" in text:  # LFM2 has no recurrent part.
        return (integer(text, "conv_L_cache") - 1) * integer(text, "conv_dim", *HIDDEN) * _BYTES
    if "linear_num_value_heads" in text:
        return _gated_delta_net(text)
    if text.get("linear_attn_config") or "linear_num_heads" in text:
        return _kimi_delta_attention(text)
    if any(name in text for name in _STATE_SIZE):
        is_mamba2 = any(name in text for name in _MAMBA2_HEADS)
        return _mamba2(text, tensor_parallel_size) if is_mamba2 else _mamba1(text)
    heads = integer(text, *HEADS)  # Lightning attention (MiniMax, Bailing) has no convolution.
    head_dim = integer(text, *HEAD_DIM, default=integer(text, *HIDDEN) // heads)
    return heads * head_dim**2 * _recurrent_bytes(text)


def _gated_delta_net(text: Config) -> float:
    heads, width = integer(text, "linear_num_value_heads"), integer(text, "linear_value_head_dim")
    key_heads, key_width = integer(text, "linear_num_key_heads"), integer(text, "linear_key_head_dim")
    inputs = 2 * key_heads * key_width + heads * width
    return _conv(inputs, integer(text, *_CONV, default=4)) + heads * width * key_width * _recurrent_bytes(text)


def _kimi_delta_attention(text: Config) -> float:
    linear = text.get("linear_attn_config") or {}
    heads = int(linear.get("num_heads") or text["linear_num_heads"])
    width = int(linear.get("head_dim") or text["linear_head_dim"])
    kernel = int(linear.get("short_conv_kernel_size") or integer(text, *_CONV, default=4))
    return _conv(3 * heads * width, kernel) + heads * width**2 * 4  # vLLM keeps this matrix in float32.


def _mamba2(text: Config, tensor_parallel_size: int) -> float:
    heads = integer(text, *_MAMBA2_HEADS)
    groups = integer(text, "n_groups", "mamba_n_groups", "mamba_ngroups", default=1)
    if groups % tensor_parallel_size:  # Each GPU holds at least one group.
        groups = tensor_parallel_size
    state = integer(text, *_STATE_SIZE)
    head_dim = _mamba2_head_dim(text, heads)
    conv = _conv(heads * head_dim + 2 * groups * state, integer(text, *_CONV, default=4))
    return conv + heads * head_dim * state * _recurrent_bytes(text)


def _mamba1(text: Config) -> float:
    inner = _inner(text)
    return _conv(inner, integer(text, *_CONV, default=4)) + inner * integer(text, *_STATE_SIZE) * _recurrent_bytes(text)


def _mamba2_head_dim(text: Config, heads: int) -> int:
    for name in ("mamba_head_dim", "mamba_d_head", "mamba_headdim"):
        if text.get(name) not in (None, "auto"):
            return integer(text, name)
    # In a model without attention, `head_dim` is that of Mamba.
    return integer(text, "head_dim") if "num_heads" in text and "head_dim" in text else _inner(text) // heads


def _inner(text: Config) -> int:
    return integer(text, "mamba_d_ssm", default=0) or integer(text, "mamba_expand", "expand", default=2) * integer(text, *HIDDEN)


def _conv(inputs: int, kernel: int) -> float:
    return inputs * (kernel - 1) * _BYTES


def _recurrent_bytes(text: Config) -> int:
    """Return the bytes of an element of the recurrent part. Most models name a type only if it is not that of the weights."""
    if text.get("model_type") == "nemotron_h" and not text.get("mamba_ssm_cache_dtype"):
        return 4
    return next((_BYTES_OF_DTYPE.get(str(text[name]), 4) for name in _DTYPE_FIELDS if text.get(name)), _BYTES)
