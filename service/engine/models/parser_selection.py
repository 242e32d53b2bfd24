"""Which format a model answers in, where the settings say `auto`: by what the model is, not by its folder's name.

First by marks in the chat template, then by tokens of the vocabulary, then by `model_type`, at last by a whole word of the name.
The names are those of vLLM's parsers; `parser_verdicts.py` says how each is read.
"""

import re
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass

HERMES = "hermes"
"""The form most fine-tunes were taught, and what normalization writes where a template cannot show tools."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model without its weights."""

    template: str
    """Source of the chat template. Empty if the tokenizer has none of its own, as Mistral's."""
    tokens: Collection[str]
    """Added tokens of the vocabulary, special or not."""
    model_type: str
    """transformers' `model_type`."""
    name: str
    """Name of the model, without its folder."""
    shows_tools: bool = True
    """Whether the template shows the tools that it is given."""
    is_mistral_tokenizer: bool = False
    """The tokenizer is mistral-common's."""
    rendered: str = ""
    """A conversation with a tool call, as the template renders it. A template can put a mark together from parts."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A parser's name, and why it was chosen, for the log and for `firstword model`."""

    name: str
    why: str
    is_guess: bool = False
    """Nothing of the model shows that it calls tools in this form."""


_Rows = tuple[tuple[str, tuple[str, ...]], ...]

# Marks of a syntax, all of which the template has. The first row that fits is taken, so the narrower rows stand first.
_TOOLS_BY_MARKS: _Rows = (
    ("openai", ("<|channel|>", "<|message|>", "analysis")),
    ("kimi_k3", ("<|open|>", "<|sep|>", "tool")),
    ("minimax_m3", ("]<]minimax[>[",)),
    ("minimax_m2", ("<minimax:tool_call>",)),
    ("deepseek_v41", ("｜DSML｜ calls",)),
    ("deepseek_v4", ("｜DSML｜", "tool_calls>")),
    ("deepseek_v32", ("｜DSML｜",)),
    ("kimi_k2", ("<|tool_calls_section_begin|>",)),
    ("deepseek_v3", ("<｜tool▁calls▁begin｜>", "```json")),
    ("deepseek_v31", ("<｜tool▁calls▁begin｜>",)),
    ("step3", ("steptml",)),
    ("seed_oss", ("<seed:tool_call>",)),
    ("longcat", ("<longcat_tool_call>",)),
    ("k2_horizon", ("<ifm|tool_call",)),
    ("plamo3", ("plamo:begin_tool",)),
    ("dots", ("<dots_function_call>",)),
    ("hy_v3", ("<tool_calls", "<tool_sep")),
    ("hy_v4", ("<tool_calls", "<arg_key")),
    ("glm45", ("<arg_key>",)),
    ("qwen3_coder", ("<function=", "<parameter=")),
    ("minicpm5", ("<function name=", "<param name=")),
    ("gemma4", ("<|tool_call>",)),
    ("functiongemma", ("<start_function_call>",)),
    ("lfm2", ("<|tool_call_start|>",)),
    ("lfm2", ("<|tool_list_start|>",)),
    ("olmo3", ("<function_calls>",)),
    ("cohere_command3", ("<|START_ACTION|>",)),
    ("apertus", ("<|tools_prefix|>",)),
    ("gigachat3", ("function call<|role_sep|>",)),
    ("gigachat3", ("<|function_call|>",)),
    ("internlm", ("<|action_start|>",)),
    ("mistral", ("[TOOL_CALLS]",)),
    ("phi4_mini_json", ("<|tool_call|>", "<|tool|>")),
    ("phi4_mini_json", ("functools[",)),
    ("granite", ("<|tool_call|>",)),
    ("granite-20b-fc", ("<function_call>",)),
    ("hunyuan_a13b", ("<tool_calls>",)),
    ("nemotron_json", ("<TOOLCALL>",)),
    (HERMES, ("<tool_call>",)),
    ("llama3_json", ('"parameters"', "<|python_tag|>")),
)
# Descriptions of a syntax that has no marks of its own, as templates give them to the model.
_TOOLS_BY_PATTERN: tuple[tuple[str, str], ...] = (
    ("llama4_pythonic", r"\[\s*func\w*\s*\("),
    ("llama3_json", r'\{\s*"name":[^{}]{0,80}"parameters"\s*:'),
    ("xlam", r'\[\s*\{\s*"name":[^{}]{0,80}"arguments"\s*:'),
)
# Tokens that only one syntax uses, for a template that shows tools without saying how to call one.
_TOOLS_BY_TOKENS: _Rows = (
    ("mistral", ("[TOOL_CALLS]",)),
    ("kimi_k2", ("<|tool_calls_section_begin|>",)),
    ("deepseek_v3", ("<｜tool▁calls▁begin｜>",)),
    ("lfm2", ("<|tool_call_start|>",)),
    ("gemma4", ("<|tool_call>", '<|"|>')),
    ("functiongemma", ("<start_function_call>",)),
    ("llama3_json", ("<|python_tag|>",)),
    ("granite", ("<|tool_call|>",)),
)
_TOOLS_BY_TYPE = {
    "transformer": "mistral", "pixtral": "mistral", "mistral": "mistral", "mistral3": "mistral", "mistral4": "mistral",
    "ministral3": "mistral", "mixtral": "mistral", "gpt_oss": "openai", "deepseek_v32": "deepseek_v32",
    "deepseek_v4": "deepseek_v4", "deepseek_v41": "deepseek_v41", "kimi_k3": "kimi_k3", "inkling": "inkling",
    "llama4": "llama4_pythonic", "olmo3": "olmo3", "cohere2": "cohere_command3", "granite": "granite", "phi3": "phi4_mini_json",
    "lfm2": "lfm2", "lfm2_moe": "lfm2", "xlam": "xlam",
}  # fmt: skip
# vLLM has several names for one syntax, by the model that it was written for.
_OWN_NAMES = {
    (HERMES, "ernie4_5_moe"): "ernie45", (HERMES, "ernie4_5"): "ernie45", (HERMES, "granitemoehybrid"): "granite4",
    ("glm45", "bailing_moe_v3"): "ling3", ("glm45", "laguna"): "poolside_v1", ("glm45", "glm_moe_dsa"): "glm47",
    ("glm45", "glm4_moe_lite"): "glm47", ("hunyuan_a13b", "jamba"): "jamba", ("qwen3_coder", "step3p5"): "step3p5",
}  # fmt: skip
_TOOLS_BY_WORD = {"xlam": "xlam", "hermes": HERMES}


def choose_tool_parser(facts: ModelFacts) -> Chosen:
    """Return the name of vLLM's tool parser of the format in which this model calls tools."""
    return next(_candidates(facts))


def _candidates(facts: ModelFacts) -> Iterator[Chosen]:
    """The formats that fit, the surest first."""
    by_type = _TOOLS_BY_TYPE.get(facts.model_type)
    if facts.is_mistral_tokenizer:
        yield Chosen("mistral", "the tokenizer is mistral-common's")
    if not facts.template and by_type is not None:
        yield Chosen(by_type, f"model_type {facts.model_type}")
    yield from _by_marks(facts, _TOOLS_BY_MARKS, facts.template, "in the chat template")
    yield from _by_marks(facts, _TOOLS_BY_MARKS, facts.rendered, "in a call that the template renders")
    if not facts.shows_tools:
        # Normalization describes the tools in this form, so the model answers in this form.
        yield Chosen(HERMES, "the chat template does not show tools, so they are described in Hermes' form")
    for name, pattern in _TOOLS_BY_PATTERN:
        if re.search(pattern, facts.template.replace('\\"', '"')):
            yield _named(name, facts, "the chat template describes this form of call")
    yield from _by_marks(facts, _TOOLS_BY_TOKENS, facts.tokens, "in the vocabulary")
    if by_type is not None:
        yield Chosen(by_type, f"model_type {facts.model_type}")
    for word in re.findall(r"[a-z0-9]+", facts.name.lower()):
        if word in _TOOLS_BY_WORD:
            yield Chosen(_TOOLS_BY_WORD[word], f"the word {word!r} in the model's name")
    yield Chosen(HERMES, "nothing else fits, and most fine-tunes were taught this form", is_guess=True)


def _by_marks(facts: ModelFacts, rows: _Rows, source: Container[str], where: str) -> Iterator[Chosen]:
    """The rows all of whose marks are in the source."""
    for name, marks in rows:
        if all(mark in source for mark in marks):
            yield _named(name, facts, f"{' and '.join(marks)} {where}")


def _named(name: str, facts: ModelFacts, why: str) -> Chosen:
    return Chosen(_OWN_NAMES.get((name, facts.model_type), name), why)


# A row of `formats.THOUGHTS`, its marks in a template, and vLLM's parser that tells the engine where a thought ends.
_THOUGHTS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("harmony", ("<|channel|>", "analysis"), "openai_gptoss"),
    ("apriel", ("[BEGIN FINAL RESPONSE]",), ""),
    ("thought", ("<thought>",), ""),
    ("thought", ("</thought>",), ""),
    ("kimi_k3", ("<|open|>think",), "kimi_k3"),
    ("minimax_m3", ("<mm:think>",), "minimax_m3"),
    ("seed", ("<seed:think>",), "seed_oss"),
    ("longcat", ("<longcat_think>",), ""),
    ("gemma4", ("<|channel>",), "gemma4"),
    ("cohere", ("<|START_THINKING|>",), "cohere_command3"),
    ("apertus", ("<|inner_prefix|>",), ""),
    ("k2_horizon", ("<ifm|think",), "k2_horizon"),
    ("plamo3", ("plamo:begin_think",), "plamo3"),
    ("mistral", ("[THINK]",), "mistral"),
    ("kimi", ("◁think▷",), ""),
    ("granite", ("Here is my thought process",), "granite"),
    ("think", ("<think>", "<minimax:tool_call>"), "deepseek_r1"),  # Its `<response>` is around the results of tools.
    ("answer", ("<think>", "<answer>"), "deepseek_r1"),
    ("response", ("<think>", "<response>"), "deepseek_r1"),
    ("think", ("<think>",), "deepseek_r1"),
    ("think", ("<think:",), "deepseek_r1"),
    ("think", ("</think>",), "deepseek_r1"),
)
_THOUGHTS_BY_TYPE = {
    "gpt_oss": "harmony", "deepseek_v32": "think", "deepseek_v4": "think", "deepseek_v41": "think", "kimi_k3": "kimi_k3",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChosenThoughts:
    """A row of `formats.THOUGHTS`, vLLM's reasoning parser for the engine (None: it has none), and why."""

    thoughts: str
    engine_parser: str | None
    why: str


def choose_thoughts(facts: ModelFacts) -> ChosenThoughts | None:
    """Return how the model marks thoughts. None if neither its template nor its tokenizer can open one."""
    if facts.is_mistral_tokenizer:
        has_marks = "[THINK]" in facts.tokens
        return ChosenThoughts("mistral", "mistral", "[THINK] in the vocabulary") if has_marks else None
    for thoughts, marks, parser in _THOUGHTS:
        if all(mark in facts.template for mark in marks):
            return ChosenThoughts(thoughts, parser or None, f"{' and '.join(marks)} in the chat template")
    if not facts.template and (by_type := _THOUGHTS_BY_TYPE.get(facts.model_type)):
        parser = next(parser for thoughts, _, parser in _THOUGHTS if thoughts == by_type)
        return ChosenThoughts(by_type, parser or None, f"model_type {facts.model_type}")
    if {"<think>", "</think>"} <= set(facts.tokens):  # The template never thinks, but if the model does, it is not spoken.
        return ChosenThoughts("think", "deepseek_r1", "<think> and </think> in the vocabulary")
    return None
