"""A verdict on each parser of vLLM 0.32's registry: how we read its format, or why we refuse it. docs/models.md shows it.

vLLM's parsers give different answers streamed and whole, or lose calls that are cut or malformed (docs/models.md has what was
measured). So each format is read by our own reader of its syntax. vLLM's parser name stays the name of the format.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolVerdict:
    """How the format of one of vLLM's tool parsers is read."""

    syntax: str | None
    """Row of `formats.CALLS`. None: only vLLM's own parser can read it."""
    structural_tag: str | None = None
    """vLLM's grammar that holds a forced call to this syntax (`structural_tag_model`). Without one, a forced call is JSON."""
    is_proven: bool = True
    """Whether the reader was tried on samples of a real family: `self_test.py` and the fixtures have them."""
    reason: str = ""
    """Why it is refused or unproven."""


@dataclass(frozen=True, slots=True)
class ReasoningVerdict:
    """How the marks of one of vLLM's reasoning parsers are read."""

    thoughts: str | None
    """Row of `formats.THOUGHTS`. None: only vLLM's own parser can read it."""
    reason: str = ""


_NO_TEMPLATE = "no chat template of this format is published, so our reader was tried only on vLLM's own description of it"
_ALL_AT_ONCE = "vLLM reads it from a response template of the tokenizer; forced calls and strict tools are refused there"

TOOL_PARSERS: Mapping[str, ToolVerdict] = {
    "apertus": ToolVerdict("apertus"),
    "cohere_command3": ToolVerdict("cohere_command3"),
    "cohere_command4": ToolVerdict("cohere_command3"),
    "deepseek_v3": ToolVerdict("deepseek_v3", "deepseek_r1"),
    "deepseek_v31": ToolVerdict("deepseek_v3", "deepseek_v3_1"),
    "deepseek_v32": ToolVerdict("deepseek_v32", "deepseek_v3_2"),
    "deepseek_v4": ToolVerdict("deepseek_v32", "deepseek_v4"),
    "deepseek_v41": ToolVerdict("deepseek_v32", "deepseek_v4_1"),
    "dots": ToolVerdict("dots", is_proven=False, reason=_NO_TEMPLATE),
    "ernie45": ToolVerdict("hermes", "hermes"),
    "functiongemma": ToolVerdict("functiongemma"),
    "gemma4": ToolVerdict("gemma4"),
    "gigachat3": ToolVerdict("gigachat3"),
    "glm45": ToolVerdict("glm45", "glm_4_7"),
    "glm47": ToolVerdict("glm45", "glm_4_7"),
    "granite": ToolVerdict("granite"),
    "granite-20b-fc": ToolVerdict("granite-20b-fc", is_proven=False, reason=_NO_TEMPLATE),
    "granite4": ToolVerdict("hermes", "hermes"),
    "hermes": ToolVerdict("hermes", "hermes"),
    "hf": ToolVerdict(None, is_proven=False, reason=_ALL_AT_ONCE),
    "hunyuan_a13b": ToolVerdict("hunyuan_a13b"),
    "hy_v3": ToolVerdict("hy_v3"),
    "hy_v4": ToolVerdict("hy_v3", is_proven=False, reason=_NO_TEMPLATE),
    "inkling": ToolVerdict("inkling", is_proven=False, reason=_NO_TEMPLATE),
    "internlm": ToolVerdict("internlm"),
    "jamba": ToolVerdict("hunyuan_a13b"),
    "k2_horizon": ToolVerdict("k2_horizon", is_proven=False, reason=_NO_TEMPLATE),
    "kimi_k2": ToolVerdict("kimi_k2", "kimi"),
    "kimi_k3": ToolVerdict("kimi_k3", "kimi_k3", is_proven=False, reason=_NO_TEMPLATE),
    "lfm2": ToolVerdict("lfm2"),
    "ling3": ToolVerdict("glm45", "glm_4_7"),
    "llama3_json": ToolVerdict("llama3_json", "llama"),
    "llama4_json": ToolVerdict("llama3_json", "llama"),
    "llama4_pythonic": ToolVerdict("pythonic"),
    "longcat": ToolVerdict("longcat", "longcat"),
    "mimo": ToolVerdict("qwen3_coder", "mimo"),
    "minicpm5": ToolVerdict("minicpm5"),
    "minimax_m2": ToolVerdict("minimax_m2", "minimax"),
    "minimax_m3": ToolVerdict("minimax_m3"),
    "mistral": ToolVerdict("mistral"),
    "muse_glimmer": ToolVerdict(
        None, is_proven=False, reason="an answer is several messages with recipients, and no template is published"
    ),
    "nemotron_json": ToolVerdict("nemotron_json"),
    "olmo3": ToolVerdict("olmo3"),
    "openai": ToolVerdict("harmony", "harmony"),
    "phi4_mini_json": ToolVerdict("phi4_mini_json"),
    "plamo3": ToolVerdict("plamo3", "plamo3", is_proven=False, reason=_NO_TEMPLATE),
    "poolside_v1": ToolVerdict("glm45", "glm_4_7"),
    "pythonic": ToolVerdict("pythonic"),
    "qwen3_coder": ToolVerdict("qwen3_coder", "qwen_3_coder"),
    "qwen3_json": ToolVerdict("hermes", "hermes"),
    "qwen3_xml": ToolVerdict("qwen3_coder", "qwen_3_coder"),
    "seed_oss": ToolVerdict("seed_oss"),
    "step3": ToolVerdict("step3"),
    "step3p5": ToolVerdict("qwen3_coder", "qwen_3_coder"),
    "xlam": ToolVerdict("xlam"),
}
"""By the name of vLLM's tool parser. `nemotron_json` is the name of NVIDIA's plug-in for vLLM: 0.32 has no such parser itself."""

_THINK = ReasoningVerdict("think")

REASONING_PARSERS: Mapping[str, ReasoningVerdict] = {
    "cohere_command3": ReasoningVerdict("cohere"),
    "cohere_command4": ReasoningVerdict("cohere"),
    "deepseek_r1": _THINK,
    "deepseek_v3": _THINK,
    "deepseek_v4": _THINK,
    "deepseek_v41": _THINK,
    "ernie45": ReasoningVerdict("response"),
    "gemma4": ReasoningVerdict("gemma4"),
    "glm45": _THINK,
    "glm47": _THINK,
    "granite": ReasoningVerdict("granite"),
    "granite_thinking_parser": _THINK,
    "hf": ReasoningVerdict(None, _ALL_AT_ONCE),
    "holo2": _THINK,
    "hunyuan_a13b": ReasoningVerdict("answer"),
    "hy_v3": _THINK,
    "hy_v4": _THINK,
    "inkling": ReasoningVerdict(None, _NO_TEMPLATE),
    "k2_horizon": ReasoningVerdict("k2_horizon"),
    "kimi_k2": _THINK,
    "kimi_k3": ReasoningVerdict("kimi_k3"),
    "ling3": _THINK,
    "mimo": _THINK,
    "minicpmv": _THINK,
    "minimax_m2": _THINK,
    "minimax_m2_append_think": ReasoningVerdict(None, "it puts the thought into the content, where it is spoken"),
    "minimax_m3": ReasoningVerdict("minimax_m3"),
    "mistral": ReasoningVerdict("mistral"),
    "muse_glimmer": ReasoningVerdict(None, "several messages with recipients in one answer, and no published template"),
    "nemotron_v3": _THINK,
    "olmo3": _THINK,
    "openai_gptoss": ReasoningVerdict("harmony"),
    "plamo3": ReasoningVerdict("plamo3"),
    "poolside_v1": _THINK,
    "qwen3": _THINK,
    "seed_oss": ReasoningVerdict("seed"),
    "step3": _THINK,
    "step3p5": _THINK,
}
"""By the name of vLLM's reasoning parser."""
