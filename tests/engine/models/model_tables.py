"""The tables of docs/models.md that are made from the code and the fixtures.

`python -m tests.engine.models.model_tables` writes them. `vllm_parsers.py` makes one more.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from service.engine.models.formats import THOUGHTS
from service.engine.models.parser_verdicts import REASONING_PARSERS, TOOL_PARSERS, ReasoningVerdict, ToolVerdict
from service.engine.models.samples import THOUGHTS_WRITTEN
from tests.engine.models.families import FAMILIES, Family, family
from tests.engine.models.family_models import profile_of
from tests.engine.models.family_proofs import proof_of

PAGE = Path(__file__).parents[3] / "docs/models.md"
FAMILY_TABLE, TOOL_TABLE, THOUGHT_TABLE = "## Families", "### Tool calls", "### Thoughts"

TITLES: Mapping[str, str] = {
    "apertus": "Apertus", "apertus_shipped": "Apertus, template as shipped", "bailing_moe_v2": "Ling 2 (Bailing MoE v2)",
    "command_a": "Command A", "command_a_reasoning": "Command A Reasoning", "deepseek_r1": "DeepSeek R1",
    "deepseek_r1_distill_qwen": "DeepSeek R1 Distill (Qwen)", "deepseek_v3": "DeepSeek V3", "deepseek_v31": "DeepSeek V3.1",
    "deepseek_v32": "DeepSeek V3.2", "deepseek_v4": "DeepSeek V4", "ernie45": "ERNIE 4.5", "functiongemma": "FunctionGemma",
    "gemma3": "Gemma 3", "gemma4": "Gemma 4", "gemma4_e4b": "Gemma 4 E4B", "gigachat3": "GigaChat 3",
    "gigachat31": "GigaChat 3.1", "glm45": "GLM-4.5", "glm46": "GLM-4.6", "glm47": "GLM-4.7", "glm5": "GLM-5",
    "glm53": "GLM-5.3", "gpt_oss": "gpt-oss", "granite33": "Granite 3.3", "granite4": "Granite 4", "granite42": "Granite 4.2",
    "hermes_finetune": "Hermes (Llama fine-tune)", "hunyuan_a13b": "Hunyuan A13B", "hunyuan_v1": "Hunyuan dense",
    "hy_v3": "Hunyuan 3 (HY)", "internlm2": "InternLM 2", "jamba": "Jamba", "kimi_k2": "Kimi K2", "kimi_k25": "Kimi K2.5",
    "kimi_k2_thinking": "Kimi K2 Thinking", "laguna": "Laguna", "lfm2": "LFM2", "lfm25": "LFM2.5", "ling3": "Ling 3",
    "llama3": "Llama 3.1 and 3.3", "llama32": "Llama 3.2", "llama4": "Llama 4", "longcat": "LongCat Flash",
    "magistral": "Magistral", "mimo": "MiMo V2", "minicpm5": "MiniCPM 5", "minimax_m2": "MiniMax M2",
    "minimax_m3": "MiniMax M3", "mistral_v11": "Mistral, tokenizer v11", "mistral_v13": "Mistral, tokenizer v13",
    "mistral_v15": "Mistral, tokenizer v15", "mistral_v3": "Mistral, tokenizer v3", "mistral_v7": "Mistral, tokenizer v7",
    "nemotron3": "Nemotron 3", "olmo3": "OLMo 3 Instruct", "olmo3_think": "OLMo 3 Think",
    "phi4_mini": "Phi-4-mini, with a template for tools", "phi4_mini_published": "Phi-4-mini",
    "phi4_reasoning": "Phi-4 Reasoning", "qwen25": "Qwen 2.5", "qwen3": "Qwen 3", "qwen3_5": "Qwen 3.5",
    "qwen3_5_small": "Qwen 3.5, small", "qwen3_coder": "Qwen 3 Coder", "qwen3_instruct": "Qwen 3 Instruct (2507)",
    "qwen3_next_instruct": "Qwen 3 Next Instruct", "qwen3_thinking": "Qwen 3 Thinking (2507)", "qwen3_vl": "Qwen 3 VL",
    "seed_oss": "Seed-OSS", "smollm3": "SmolLM3", "step3": "Step 3", "step3p5": "Step 3.5", "xlam": "xLAM",
}  # fmt: skip
Row = tuple[str, ...]
Table = tuple[Row, list[Row]]
"""Header and rows, as in `tests.support.documents`."""


def family_table() -> Table:
    """One row for each fixture. Needs transformers."""
    header = ("family", "`model_type`", "tool calls", "thoughts", "switch", "template's default", "template shows", "proven")
    return header, sorted((_family_row(family(name)) for name in FAMILIES), key=lambda row: row[0].lower())


def _family_row(of: Family) -> Row:
    profile = profile_of(of)
    thinking, traits = profile.thinking, profile.traits
    thoughts = _marks(profile.thoughts.thoughts) if thinking.can_think and profile.thoughts is not None else "–"
    switch = "–"
    if thinking.can_think:
        switch = f"`{thinking.switch.variable}`" if thinking.switch is not None else "**none**"
        switch += " (less, not off)" if thinking.switch is not None and not thinking.switch.is_off else ""
    shown = [what for what, is_shown in (("tools", traits.takes_tools), ("calls", traits.takes_calls)) if is_shown]
    assert profile.tool_parser is not None
    return (
        TITLES[of.name],
        f"`{of.facts['model_type']}`",
        f"`{profile.tool_parser.name}`",
        thoughts,
        switch,
        "thinks" if thinking.thinks_by_default else "answers",
        ", ".join(shown) or "neither",
        proof_of(of),
    )


def tool_table() -> Table:
    header = ("vLLM's name", "read as", "a forced call is held to", "verdict", "families here")
    return header, [
        (
            f"`{name}`",
            f"`{verdict.syntax}`" if verdict.syntax else "vLLM's parser",
            _forced(verdict),
            _verdict(verdict),
            _of(name),
        )
        for name, verdict in sorted(TOOL_PARSERS.items())
    ]


def _forced(verdict: ToolVerdict) -> str:
    return "its own syntax" if verdict.structural_tag else "JSON" if verdict.syntax else "vLLM's choice"


def _verdict(verdict: ToolVerdict) -> str:
    return "proven" if verdict.is_proven else f"refused: {verdict.reason}"


def _of(parser: str) -> str:
    return ", ".join(TITLES[name] for name in FAMILIES if family(name).expect["tool_parser"] == parser) or "–"


def thought_table() -> Table:
    """One row for each of vLLM's names, then one for each pair of marks that vLLM has no parser for."""
    header = ("vLLM's name", "read as", "example of the marks", "verdict")
    named = [
        (f"`{name}`", f"`{verdict.thoughts}`" if verdict.thoughts else "vLLM's parser", _marks(verdict.thoughts), _proof(verdict))
        for name, verdict in sorted(REASONING_PARSERS.items())
    ]
    ours = sorted(THOUGHTS.keys() - {verdict.thoughts for verdict in REASONING_PARSERS.values()})
    return header, [*named, *(("– (`auto` only)", f"`{row}`", _marks(row), _proof(ReasoningVerdict(row))) for row in ours)]


def _proof(verdict: ReasoningVerdict) -> str:
    if verdict.thoughts is None:
        return f"refused: {verdict.reason}"
    return "proven" if verdict.thoughts in THOUGHTS_WRITTEN else "without a sample"


def _marks(row: str | None) -> str:
    assert row is None or row in THOUGHTS
    opening, closing = THOUGHTS_WRITTEN.get(row or "", ("", ""))
    return f"`{opening.strip()}` … `{closing.strip()}`" if opening else "–"


def with_table(page: str, heading: str, table: Table) -> str:
    """Return the page with the table below a heading replaced."""
    lines = page.split("\n")
    at = lines.index(heading)
    begin = next(number for number in range(at, len(lines)) if lines[number].startswith("|"))
    end = next((number for number in range(begin, len(lines)) if not lines[number].startswith("|")), len(lines))
    return "\n".join([*lines[:begin], *_markdown(table), *lines[end:]])


def _markdown(table: Table) -> Iterable[str]:
    header, rows = table
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def write(tables: Mapping[str, Table]) -> None:
    """Write these tables into the page, by heading."""
    page = PAGE.read_text(encoding="utf-8")
    for heading, table in tables.items():
        page = with_table(page, heading, table)
    PAGE.write_text(page, encoding="utf-8")


def tables() -> dict[str, Table]:
    """Return the tables by heading."""
    return {FAMILY_TABLE: family_table(), TOOL_TABLE: tool_table(), THOUGHT_TABLE: thought_table()}


if __name__ == "__main__":
    write(tables())
