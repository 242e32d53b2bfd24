"""The bounded part of the KV cache: layers with a window, and layers with a state. Expected bytes are computed by hand."""

import pytest

from service.engine.models.kv_memory import KvMemory, kv_memory
from tests.engine.models.published_configs import (
    DEEPSEEK_V3,
    GEMMA3_4B,
    GEMMA3_27B,
    GPT_OSS_20B,
    JAMBA_MINI,
    LLAMA_31_8B,
    MAMBA_2,
    MISTRAL_SMALL_3,
    NEMOTRON_H_8B,
    QWEN3_8B,
    QWEN3_NEXT_80B,
    Json,
)


@pytest.mark.parametrize(
    ("config", "per_token", "window", "window_bytes"),
    [
        (GEMMA3_27B, 10 * 8192, 1024, 52 * 8192),
        (GEMMA3_4B, 5 * 4096, 1024, 29 * 4096),
        (GPT_OSS_20B, 12 * 2048, 128, 12 * 2048),
        ({**GPT_OSS_20B, "layer_types": None}, 12 * 2048, 128, 12 * 2048),
        # Mistral 7B v0.1: all layers.
        (LLAMA_31_8B | {"sliding_window": 4096}, 0, 4096, 131_072),
        # params.json with one window per layer, repeated.
        (MISTRAL_SMALL_3 | {"sliding_window": [None, 4096, 4096, 4096]}, 10 * 4096, 4096, 30 * 4096),
        (QWEN3_8B | {"use_sliding_window": True, "sliding_window": 4096, "max_window_layers": 28}, 28 * 4096, 4096, 8 * 4096),
        # Exaone 4.
        (
            QWEN3_8B | {"use_sliding_window": None, "sliding_window": 4096, "sliding_window_pattern": "LLLG"},
            9 * 4096, 4096, 27 * 4096,
        ),
        # Llama 4: every fourth layer sees all tokens, the others a chunk.
        (LLAMA_31_8B | {"attention_chunk_size": 8192, "no_rope_layers": []}, 8 * 4096, 8192, 24 * 4096),
        # MiMo V2: layers with a window have other heads, and values are narrower than keys.
        (
            {
                "num_hidden_layers": 4, "hybrid_layer_pattern": [0, 1, 1, 1], "num_attention_heads": 64, "hidden_size": 4096,
                "num_key_value_heads": 4, "head_dim": 192, "v_head_dim": 128, "sliding_window": 128,
                "swa_num_key_value_heads": 8, "swa_head_dim": 192, "swa_v_head_dim": 128,
            },
            4 * 320 * 2, 128, 3 * 8 * 320 * 2,
        ),
        # Gemma 4: layers that see all tokens have other heads, and the last two layers have no cache of their own.
        (
            {
                "num_hidden_layers": 6, "num_attention_heads": 8, "hidden_size": 2304, "num_key_value_heads": 4, "head_dim": 256,
                "layer_types": (["sliding_attention"] * 2 + ["full_attention"]) * 2, "sliding_window": 512,
                "global_head_dim": 512, "num_global_key_value_heads": 2, "num_kv_shared_layers": 2,
            },
            2 * 2 * 512 * 2, 512, 3 * 2 * 4 * 256 * 2,
        ),
    ],
)  # fmt: skip
def test_layers_with_a_window_are_bounded(config: Json, per_token: int, window: int, window_bytes: int) -> None:
    memory = kv_memory(config)
    assert memory == KvMemory(per_token, 0.0, window, window_bytes)
    assert memory.bounded_bytes == window * window_bytes
    assert memory.bytes_of(100) == 100 * (per_token + window_bytes)
    assert memory.bytes_of(100_000) == 100_000 * per_token + window * window_bytes
    assert kv_memory(config, frees_windows=False) == KvMemory(per_token + window_bytes)


@pytest.mark.parametrize(
    "config",
    [
        QWEN3_8B | {"sliding_window": 4096},  # use_sliding_window is false.
        LLAMA_31_8B | {"num_hidden_layers": 36, "sliding_window": 262144},  # Longer than the context.
        QWEN3_8B | {"use_sliding_window": None, "layer_types": ["full_attention"] * 36, "sliding_window": 4096},
        QWEN3_8B | {"layer_types": ["sliding_attention", "full_attention"] * 18},  # No window is set.
    ],
)
def test_a_window_that_is_not_used(config: Json) -> None:
    assert kv_memory(config) == KvMemory(147_456)


# Convolution of 8192 + 2 x 256 inputs, and 128 heads of 64 x 256.
MAMBA_2_STATE = (8192 + 2 * 256) * 3 * 2 + 128 * 64 * 256 * 2


@pytest.mark.parametrize(
    ("config", "per_token", "state"),
    [
        # 12 layers; 36 with a convolution of 2 x 16 x 128 + 32 x 128 inputs and 32 matrices of 128 x 128.
        (QWEN3_NEXT_80B, 24_576, 36 * (8192 * 3 * 2 + 32 * 128 * 128 * 2)),
        (QWEN3_NEXT_80B | {"full_attention_interval": None, "layer_types": (["linear_attention"] * 3 + ["full_attention"]) * 12},
         24_576, 36 * (8192 * 3 * 2 + 32 * 128 * 128 * 2)),
        # Qwen 3.5 keeps the matrices in float32.
        (QWEN3_NEXT_80B | {"mamba_ssm_dtype": "float32"}, 24_576, 36 * (8192 * 3 * 2 + 32 * 128 * 128 * 4)),
        # 4 layers with attention; 24 with Mamba 2 in float32; 24 with neither.
        (NEMOTRON_H_8B, 16_384, 24 * ((8192 + 2 * 8 * 128) * 3 * 2 + 128 * 64 * 128 * 4)),
        # 4 layers with attention; 28 with Mamba 1.
        (JAMBA_MINI, 16_384, 28 * (8192 * 3 * 2 + 8192 * 16 * 2)),
        (MAMBA_2 | {"attn_layer_indices": [1]}, 4096, 3 * MAMBA_2_STATE),  # Bamba
        (MAMBA_2 | {"layer_types": ["mamba", "attention", "mamba", "mamba"]}, 4096, 3 * MAMBA_2_STATE),  # Granite 4
        (MAMBA_2 | {"layers_block_type": ["mamba", "hybrid", "mamba", "mamba"]}, 4096, 4 * MAMBA_2_STATE),  # Zamba 2
        (MAMBA_2 | {"model_type": "falcon_h1"}, 4 * 4096, 4 * MAMBA_2_STATE),
        # LFM2 has only convolutions.
        (LLAMA_31_8B | {"layer_types": ["conv", "conv", "full_attention"], "conv_L_cache": 3}, 4096, 2 * 4096 * 2 * 2),
        # MiniMax has a matrix of 128 x 128 for each of its 32 heads.
        (LLAMA_31_8B | {"attn_type_list": [0] * 7 + [1]}, 4096, 7 * 32 * 128 * 128 * 2),
        # Kimi Linear: latent attention in 1 layer of 4. Layers count from 1.
        (
            DEEPSEEK_V3 | {"model_type": "kimi_linear", "num_hidden_layers": 4, "linear_attn_config": {
                "full_attn_layers": [4], "kda_layers": [1, 2, 3], "num_heads": 32, "head_dim": 128, "short_conv_kernel_size": 4,
            }},
            576 * 2, 3 * (3 * 32 * 128 * 3 * 2 + 32 * 128 * 128 * 4),
        ),
    ],
)  # fmt: skip
def test_layers_with_a_state_do_not_grow(config: Json, per_token: int, state: int) -> None:
    """A running turn has two states: the current one, and the one at the end of the last block."""
    assert kv_memory(config) == KvMemory(per_token, 2 * state)
    assert kv_memory(config).bounded_bytes == 2 * state


def test_states_are_split() -> None:
    assert kv_memory(QWEN3_NEXT_80B, tensor_parallel_size=8).state_bytes == kv_memory(QWEN3_NEXT_80B).state_bytes
    one_group = MAMBA_2 | {"attn_layer_indices": [1]}
    more = 3 * 2 * (2 * (4 - 1) * 256) * 3 * 2  # Each of 4 GPUs holds the only group.
    assert kv_memory(one_group, tensor_parallel_size=4).state_bytes == kv_memory(one_group).state_bytes + more
