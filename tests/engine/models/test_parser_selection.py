"""Which of vLLM's parsers a model family gets if the setting is `auto`."""

import pytest

from service.engine.models.parser_selection import reasoning_parser_for, tool_parser_for


@pytest.mark.parametrize(
    ("model_type", "model_name", "tools", "reasoning"),
    [
        ("llama", "HuggingFaceTB/SmolLM2-135M-Instruct", "hermes", None),
        ("llama", "meta-llama/Llama-3.3-70B-Instruct", "llama3_json", None),
        ("llama", "meta-llama/Meta-Llama3-8B", "llama3_json", None),
        ("llama", "NousResearch/Hermes-3-Llama-3.1-8B", "hermes", None),
        ("llama", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "hermes", "deepseek_r1"),
        ("llama", "Salesforce/Llama-xLAM-2-8b-fc-r", "xlam", None),
        ("llama4", "meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4_pythonic", None),
        ("qwen2", "Qwen/Qwen2.5-7B-Instruct", "hermes", None),
        ("qwen2", "Qwen/QwQ-32B", "hermes", "deepseek_r1"),
        ("qwen2", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "hermes", "deepseek_r1"),
        ("qwen3", "Qwen/Qwen3-8B", "hermes", "qwen3"),
        ("qwen3_moe", "Qwen/Qwen3-30B-A3B-Instruct-2507", "hermes", None),
        ("qwen3_moe", "Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_coder", None),
        ("mistral", "mistralai/Mistral-7B-Instruct-v0.3", "mistral", None),
        ("gemma3", "google/gemma-3-4b-it", "functiongemma", None),
        ("gpt_oss", "openai/gpt-oss-20b", "openai", "openai_gptoss"),
        ("glm4_moe", "zai-org/GLM-4.5-Air", "glm45", "glm45"),
        ("deepseek_v3", "deepseek-ai/DeepSeek-V3.1", "deepseek_v31", "deepseek_v3"),
        ("never-heard-of", "acme/our-own-model", "hermes", None),
        ("", "", "hermes", None),
    ],
)
def test_a_family_gets_its_parsers(model_type: str, model_name: str, tools: str, reasoning: str | None) -> None:
    assert tool_parser_for(model_type, model_name) == tools
    assert reasoning_parser_for(model_type, model_name) == reasoning
