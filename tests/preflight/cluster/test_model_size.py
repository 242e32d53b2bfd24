"""The size of a model, from the hub's answers. Expected bytes are computed from the models' configurations."""

from service.preflight.cluster.model_size import embedded_size, size_of
from tests.preflight.checks.test_memory import INFO, QWEN3_8B

DEEPSEEK_V3 = {
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "hidden_size": 7168,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "max_position_embeddings": 163840,
    "quantization_config": {"quant_method": "fp8"},
}


def test_kv_cache_of_a_token() -> None:
    assert size_of(INFO, QWEN3_8B, {}).kv.bytes_per_token == 36 * 2 * 8 * 128 * 2
    assert size_of(INFO, QWEN3_8B, {"kv_cache_dtype": "fp8"}).kv.bytes_per_token == 36 * 2 * 8 * 128
    # Without head_dim, and nested as in multimodal models.
    nested = {"text_config": {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64}}
    assert size_of(INFO, nested, {}).kv.bytes_per_token == 2 * 2 * 4 * 16 * 2
    assert size_of(INFO, DEEPSEEK_V3, {}).kv.bytes_per_token == 61 * (512 + 64) * 2
    hybrid = QWEN3_8B | {"layer_types": ["linear_attention"] * 3 + ["full_attention"]}
    assert size_of(INFO, hybrid, {}).kv.bytes_per_token == 1 * 2 * 8 * 128 * 2
    assert size_of(INFO, DEEPSEEK_V3, {}, 8).kv.bytes_per_token == 8 * 61 * (512 + 64) * 2
    sliding = QWEN3_8B | {"sliding_window": 4096}
    assert (size_of(INFO, sliding, {}).kv.bytes_per_token, size_of(INFO, sliding, {}).kv.window_tokens) == (0, 4096)
    assert size_of(INFO, sliding, {"disable_hybrid_kv_cache_manager": True}).kv.bytes_per_token == 36 * 2 * 8 * 128 * 2


def test_weights_by_type_and_by_files() -> None:
    mixed = {"safetensors": {"parameters": {"F8_E4M3": 1000, "BF16": 10, "F32": 10, "I32": 5}}}
    assert size_of(mixed, QWEN3_8B, {}).weights_bytes == 1000 + 20 + 20 + 20
    assert size_of(INFO, QWEN3_8B, {"quantization": "fp8"}).weights_bytes == 8_190_735_360
    assert size_of(INFO, DEEPSEEK_V3, {"quantization": "fp8"}).weights_bytes == 2 * 8_190_735_360
    files = [
        {"rfilename": "model.safetensors", "size": 500},
        {"rfilename": "pytorch_model.bin", "size": 900},
        {"rfilename": "a.json"},
    ]
    assert size_of({"siblings": files}, QWEN3_8B, {}).weights_bytes == 500


def test_the_embedded_models_kv_cache() -> None:
    assert embedded_size({}).kv.bytes_per_token == 30 * 2 * 3 * 64 * 2
