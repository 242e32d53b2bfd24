"""The context length as vLLM takes it from a configuration."""

from typing import Any

import pytest

from service.engine.models.context_length import asked_context, model_context

LENGTH = {"max_position_embeddings": 4096}


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({}, 0),
        (LENGTH, 4096),
        ({"max_seq_len": 32768}, 32768),
        ({"text_config": LENGTH}, 4096),
        (LENGTH | {"rope_scaling": None}, 4096),
        (LENGTH | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, 4096),
        (LENGTH | {"rope_scaling": {"type": "linear", "factor": 4.0}}, 16384),
        (LENGTH | {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, 8192),
        (LENGTH | {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, 4096),
        (LENGTH | {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 4096),
        (LENGTH | {"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}}, 4096),
        ({"model_type": "gemma3"} | LENGTH | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}, 4096),
        (LENGTH | {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0}}}, 8192),
        (
            {"max_position_embeddings": 131072, "original_max_position_embeddings": 4096, "rope_scaling": {"type": "longrope"}},
            4096,
        ),
        ({"max_position_embeddings": 131072, "rope_scaling": {"type": "longrope"}}, 131072),
    ],
)
def test_what_vllm_takes_without_max_model_len(config: dict[str, Any], tokens: int) -> None:
    assert model_context(config) == tokens


def test_the_tokenizers_limit_is_scaled_too() -> None:
    linear = LENGTH | {"rope_scaling": {"type": "linear", "factor": 4.0}}
    assert model_context(LENGTH, 2048) == 2048
    assert model_context(linear, 2048) == 8192
    assert model_context(linear, 1e30) == 16384


def test_a_malformed_configuration() -> None:
    with pytest.raises((TypeError, ValueError)):
        model_context({"max_position_embeddings": "long"})


@pytest.mark.parametrize(
    ("given", "tokens"), [(8192, 8192), ("16k", 16000), ("16K", 16384), ("1.5k", 1500), ("-1", 0), (None, 0), ("auto", 0)]
)
def test_max_model_len_as_vllm_takes_it(given: object, tokens: int) -> None:
    assert asked_context({} if given is None else {"max_model_len": given}) == tokens
