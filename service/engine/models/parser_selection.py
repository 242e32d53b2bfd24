"""Which of vLLM's tool and reasoning parsers fits which model family, where the settings say `auto`.

By the architecture's `model_type` (transformers' config.json), then by words in the model's name where one architecture
serves several formats. From vLLM 0.32's documentation of its parsers; a setting overrides it.
"""

_TOOLS_BY_TYPE = {
    "qwen2": "hermes",
    "qwen2_moe": "hermes",
    "qwen3": "hermes",
    "qwen3_moe": "hermes",
    "qwen3_next": "qwen3_coder",
    "mistral": "mistral",
    "mistral3": "mistral",
    "mixtral": "mistral",
    "llama4": "llama4_pythonic",
    "gemma3": "functiongemma",
    "gemma3_text": "functiongemma",
    "gemma4": "gemma4",
    "phi3": "phi4_mini_json",
    "granite": "granite",
    "granitemoehybrid": "granite4",
    "deepseek_v3": "deepseek_v31",
    "deepseek_v32": "deepseek_v32",
    "glm4_moe": "glm45",
    "gpt_oss": "openai",
    "kimi_k2": "kimi_k2",
    "minimax_m2": "minimax_m2",
    "olmo3": "olmo3",
    "seed_oss": "seed_oss",
    "internlm2": "internlm",
    "jamba": "jamba",
    "lfm2": "lfm2",
}
_REASONING_BY_TYPE = {
    "qwen3": "qwen3",
    "qwen3_moe": "qwen3",
    "deepseek_v3": "deepseek_v3",
    "glm4_moe": "glm45",
    "gpt_oss": "openai_gptoss",
    "gemma4": "gemma4",
    "minimax_m2": "minimax_m2",
    "olmo3": "olmo3",
    "seed_oss": "seed_oss",
}
# Words in the name, for families that share an architecture (most fine-tunes are `llama` or `qwen2`).
_TOOLS_BY_NAME = (
    ("qwen3-coder", "qwen3_coder"),
    ("hermes", "hermes"),
    ("llama-3", "llama3_json"),
    ("llama3", "llama3_json"),
    ("xlam", "xlam"),
)
_REASONING_BY_NAME = (("deepseek-r1", "deepseek_r1"), ("qwq", "deepseek_r1"), ("instruct-2507", ""), ("coder", ""))

HERMES = "hermes"
"""The form most fine-tunes were taught, and what normalization writes where a template can't show tools."""


def tool_parser_for(model_type: str, model_name: str) -> str:
    """The name of vLLM's tool parser for a model."""
    return _by_name(_TOOLS_BY_NAME, model_name) or _TOOLS_BY_TYPE.get(model_type, HERMES)


def reasoning_parser_for(model_type: str, model_name: str) -> str | None:
    """The name of vLLM's reasoning parser for a model; None for one that does not think aloud."""
    by_name = _by_name(_REASONING_BY_NAME, model_name)
    return (by_name if by_name is not None else _REASONING_BY_TYPE.get(model_type)) or None


def _by_name(table: tuple[tuple[str, str], ...], model_name: str) -> str | None:
    lowered = model_name.lower()
    return next((parser for word, parser in table if word in lowered), None)
