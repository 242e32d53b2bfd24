"""GPU memory of a model's KV cache. Expected bytes are computed by hand from the models' published configurations."""

import math

import pytest

from service.engine.models.kv_memory import KvMemory, element_bytes, kv_memory
from tests.engine.models.published_configs import (
    DEEPSEEK_V3,
    DEEPSEEK_V32,
    GPT_OSS_20B,
    LLAMA_31_8B,
    MISTRAL_SMALL_3,
    QWEN3_8B,
    QWEN3_NEXT_80B,
    Json,
)


@pytest.mark.parametrize(
    ("config", "per_token"),
    [
        (LLAMA_31_8B, 131_072),  # 32 layers x 2 x 8 heads x 128 x 2 bytes
        (QWEN3_8B, 147_456),
        (DEEPSEEK_V3, 70_272),  # 61 x (512 + 64) x 2
        (DEEPSEEK_V32, 78_324),  # and 128 + 4 bytes of index
        (MISTRAL_SMALL_3, 163_840),  # 40 x 2 x 8 x 128 x 2
        ({**DEEPSEEK_V3, "model_type": None, "num_hidden_layers": None, "n_layers": 61}, 70_272),  # Mistral Large 3
        ({"thinker_config": {"text_config": QWEN3_8B}}, 147_456),  # Qwen Omni
        ({"llm_config": QWEN3_8B, "vision_config": {"num_hidden_layers": 45}}, 147_456),  # InternVL
    ],
)
def test_each_layer_caches_each_token(config: Json, per_token: int) -> None:
    assert kv_memory(config) == KvMemory(per_token)


def test_layers_with_their_own_heads() -> None:
    nas = LLAMA_31_8B | {
        "num_key_value_heads": None,
        "block_configs": [
            {"attention": {"n_heads_in_group": 8}},
            {"attention": {"no_op": True, "n_heads_in_group": None}},
            {"attention": {"n_heads_in_group": 4}},
        ],
    }
    assert kv_memory(nas) == KvMemory((4 + 8) * 2 * 128 * 2)
    listed = {"num_transformer_layers": 2, "num_hidden_layers": 2, "num_kv_heads": [3, 5], "head_dim": 64}
    assert kv_memory(listed) == KvMemory((3 + 5) * 2 * 64 * 2)
    per_layer = LLAMA_31_8B | {"num_hidden_layers": 2, "per_layer_config": {"1": {"head_dim": 256}}}
    assert kv_memory(per_layer) == KvMemory(2 * 8 * (128 + 256) * 2)


def test_deepseek_v4_caches_compressed_tokens() -> None:
    """A layer stores 4 tokens as one, with an index, or 128 as one; each has a window, and tokens that wait in float32."""
    v4 = {"model_type": "deepseek_v4", "num_hidden_layers": 3, "head_dim": 512, "qk_rope_head_dim": 64, "index_head_dim": 128,
          "compress_ratios": [0, 4, 128, 4], "sliding_window": 128}  # fmt: skip
    waiting = 2 * 4 * 2 * 2 * (512 + 128) * 4 + 128 * 2 * 512 * 4
    assert kv_memory(v4, kv_cache_dtype="fp8") == KvMemory((584 + 132) / 4 + 584 / 128, waiting, 128, 3 * 584)
    named = v4 | {
        "compress_ratios": None,
        "layer_types": ["sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"],
    }
    assert kv_memory(named) == KvMemory((1024 + 132) / 4 + 1024 / 128, waiting, 128, 3 * 1024)


@pytest.mark.parametrize(
    ("config", "gpus", "per_token"),
    [
        (LLAMA_31_8B, 8, 131_072),
        (LLAMA_31_8B, 16, 2 * 131_072),  # Two GPUs hold each head.
        (QWEN3_NEXT_80B, 8, 4 * 24_576),
        (DEEPSEEK_V3, 8, 8 * 70_272),  # Every GPU holds the latent vector.
        (DEEPSEEK_V32, 8, 8 * 78_324),
    ],
)
def test_copies_of_tensor_parallelism(config: Json, gpus: int, per_token: int) -> None:
    assert kv_memory(config, tensor_parallel_size=gpus).bytes_per_token == per_token


@pytest.mark.parametrize(
    ("config", "dtype", "per_token"),
    [
        (LLAMA_31_8B, "fp8", 65_536),
        (LLAMA_31_8B, "fp8_e4m3", 65_536),
        (LLAMA_31_8B, "float32", 262_144),
        (LLAMA_31_8B, "nvfp4", 36_864),
        (DEEPSEEK_V3, "fp8", 35_136),
        (DEEPSEEK_V3, "fp8_ds_mla", 61 * 656),
        (DEEPSEEK_V32, "fp8", 61 * (656 + 132)),
        # Layers that share an earlier layer's index have none.
        (
            DEEPSEEK_V32 | {"index_topk_freq": 4, "index_skip_topk_offset": 1, "num_hidden_layers": 8},
            "bfloat16",
            8 * 1152 + 2 * 132,
        ),
        (DEEPSEEK_V32 | {"indexer_types": ["full", "shared"], "num_hidden_layers": 2}, "bfloat16", 2 * 1152 + 132),
        # A checkpoint with scales for the KV cache.
        (LLAMA_31_8B | {"quantization_config": {"kv_cache_scheme": {"num_bits": 8, "type": "float"}}}, "auto", 65_536),
        (LLAMA_31_8B | {"quantization_config": {"quantization": {"kv_cache_quant_algo": "FP8"}}}, "auto", 65_536),
        (LLAMA_31_8B | {"quantization_config": {"kv_cache_scheme": {"num_bits": 8, "type": "float"}}}, "bfloat16", 131_072),
        (LLAMA_31_8B | {"quantization_config": {"quant_method": "fp8"}}, "auto", 131_072),
    ],
)  # fmt: skip
def test_types_of_the_kv_cache(config: Json, dtype: str, per_token: int) -> None:
    assert kv_memory(config, kv_cache_dtype=dtype).bytes_per_token == per_token


@pytest.mark.parametrize(("dtype", "size"), [("auto", 2), ("bfloat16", 2), ("fp8", 1), ("fp8_e4m3", 1), ("int8", 1)])
def test_bytes_of_an_element(dtype: str, size: float) -> None:
    assert element_bytes(dtype) == size


def test_calls_that_a_gpu_keeps() -> None:
    llama = kv_memory(LLAMA_31_8B)
    assert llama.calls(40, 8192) == 40
    assert llama.longest(40) == 40 * 8192
    oss = kv_memory(GPT_OSS_20B)
    assert oss.calls(1, 4096) == 2**30 / (4096 * 24_576 + 3_145_728)
    assert oss.longest(1) == (2**30 - 3_145_728) / 24_576
    assert oss.longest(0.001) == 0
    assert llama.calls(-1, 8192) == 0
    only_windows = kv_memory(LLAMA_31_8B | {"sliding_window": 4096})
    assert only_windows.longest(1) == math.inf
    assert only_windows.calls(1, 10**6) == 2**30 / (4096 * 131_072)
    assert kv_memory({"model_type": "mamba", "num_hidden_layers": 2, "hidden_size": 64, "state_size": 16}).bytes_per_token == 0


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"num_hidden_layers": 2},
        {"num_hidden_layers": 2, "num_attention_heads": 4},
        LLAMA_31_8B | {"num_hidden_layers": "many"},
    ],
)
def test_a_configuration_that_says_too_little(config: Json) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        kv_memory(config)
