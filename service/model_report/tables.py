"""The report as text: what was found, the calls that GPUs keep, the self-test, and the sample prompt."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.console.tables import STYLES
from service.model_report.report import Memory, Prompt, Report, SelfTest, Template, ThinkingReport
from service.model_report.trait_words import WORDS

_UNKNOWN = "unknown"
_SHOWN_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127) if chr(code) not in "\n\t"}
"""A template can contain control characters, which a terminal would obey."""
_TURNS = {
    "think": "turns begin with a thought",
    "may think": "turns may begin with a thought",
    "answer": "turns answer at once",
}


def show(report: Report, console: Console) -> None:
    # Use Text everywhere: rich would read brackets in a plain string as markup.
    table = Table(title=f"Model {report.model}", title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(ratio=1, overflow="fold")
    for name, words in _rows(report):
        table.add_row(Text(name), Text(words))
    console.print(table)
    console.print(_calls(report.memory))
    console.print(Text(f"Assumed: {report.memory.assumed}.\n", style="dim"))
    if report.self_test is not None:
        _show_self_test(report.self_test, console)
    if report.prompt is not None:
        _show_prompt(report.prompt, console)
    words = "firstword serve would serve this model" if report.refusal is None else "firstword serve would refuse this model"
    console.print(Text(f"{words}: {report.verdict.upper()}", style=STYLES[report.verdict]))


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    yield "Folder", report.folder
    yield "Type", f"{report.model_type or _UNKNOWN}, tokenizer {report.tokenizer}"
    if report.template is not None:
        yield from _formats(report)
        if report.thinking is not None:
            yield from _thinking(report.thinking)
        yield from _template(report.template)
    yield from _memory(report.memory)


def _formats(report: Report) -> Iterator[tuple[str, str]]:
    calls, thoughts = report.tool_calls, report.thoughts
    if calls is None:
        yield "Tool calls", "not looked for: FIRSTWORD_TOOL_PARSER is none, so calls stay in the text"
    else:
        reader = "" if calls.read_by == "firstword" else ", read by vLLM's own parser"
        yield "Tool calls", f"{calls.parser}{reader}; chosen by: {calls.why}"
    if thoughts is None:
        yield "Thoughts", "no marks of thoughts are looked for"
    else:
        engine = f"vLLM's parser {thoughts.engine_parser}" if thoughts.engine_parser else "vLLM has no parser of them"
        yield "Thoughts", f"{thoughts.marks or thoughts.engine_parser} ({engine}); chosen by: {thoughts.why}"
    yield "Proven", f"no: {report.unproven}" if report.unproven else "yes"


def _thinking(thinking: ThinkingReport) -> Iterator[tuple[str, str]]:
    if not thinking.can_think:
        yield "Thinking", "this model does not think before it answers"
        return
    yield "Thinking", f"this model can think; by default it {'may' if thinking.by_default else 'does not'}"
    if (switch := thinking.switch) is None:
        yield "Switch", "the chat template has none"
    else:
        off = "" if switch.turns_off else " (only shorter thoughts)"
        yield "Switch", f"{switch.variable}: off = {json.dumps(switch.off)}{off}, on = {json.dumps(switch.on)}"
        yield "By reasoning_effort", _values(switch.levels)
    if thinking.cannot_be_turned_off:
        yield "", "Thoughts cannot be turned off, so the first word of each turn is late."
    for effect in thinking.effects:
        is_set = " (as set)" if effect.setting == thinking.setting else ""
        given = f"{_values(effect.variables)}: " if effect.variables else ""
        yield f"FIRSTWORD_THINKING={effect.setting}", f"{given}{_TURNS[effect.turns]}{is_set}"


def _values(variables: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in variables.items())


def _template(template: Template) -> Iterator[tuple[str, str]]:
    sources = {"model": "the model's own", "encoder": "none: the tokenizer's own encoder writes prompts"}
    yield "Chat template", sources.get(template.source, template.source)
    for title, is_taken in ("It takes", True), ("It does not take", False):
        words = [WORDS[name] for name, value in template.traits.items() if value is is_taken]
        yield title, "; ".join(words) or "nothing"


def _memory(memory: Memory) -> Iterator[tuple[str, str]]:
    yield "Context", f"{memory.context_tokens:,} tokens" if memory.context_tokens else _UNKNOWN
    if memory.weights_bytes is None:
        yield "Weights", f"{_UNKNOWN}: there are no safetensors files"
    else:
        yield "Weights", f"{_size(memory.weights_bytes)}, by {memory.weights_from}"
    if memory.kv_bytes_per_token is None or memory.call_bytes is None:
        yield "KV cache", f"{_UNKNOWN}: the configuration does not tell"
        return
    words = f"{memory.kv_bytes_per_token:,.0f} bytes a token"
    if memory.window_tokens:
        words += f", and {memory.window_bytes_per_token:,.0f} for each of the last {memory.window_tokens:,} tokens"
    if memory.state_bytes:
        words += f", and {memory.state_bytes:,.0f} a turn"
    yield "KV cache", f"{words}; a call of {memory.call_tokens:,} tokens takes {_size(memory.call_bytes)}"


def _calls(memory: Memory) -> Table:
    title = f"Calls of {memory.call_tokens:,} tokens that are kept at once"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for heading in ("GiB of a GPU", "GiB for the KV cache", "Calls"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in memory.calls:
        if row.kv_gib is None:
            calls = "unknown: so are the weights; give --kv-gib"
        elif row.kv_gib <= 0:
            calls = "0: the weights do not fit"
        else:
            calls = f"{row.calls:,}" if row.calls is not None else _UNKNOWN
        gpu = f"{row.gpu_gib:g}" if row.gpu_gib is not None else "-"
        table.add_row(gpu, f"{row.kv_gib:.1f}" if row.kv_gib is not None else "-", calls)
    return table


def _show_self_test(self_test: SelfTest, console: Console) -> None:
    deltas = ", ".join(map(str, self_test.tokens_per_delta))
    table = Table(title=f"Self-test at {deltas} tokens a delta", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("Sample")
    table.add_column("Result", no_wrap=True)
    table.add_column("What was wrong", ratio=1, overflow="fold")
    for sample in self_test.samples:
        outcome = "pass" if sample.is_right else "fail"
        table.add_row(Text(sample.what), Text(outcome, style=STYLES[outcome]), Text(sample.detail))
    if self_test.samples:
        console.print(table)
    else:
        console.print(Text("Self-test: only vLLM's own parser can read this format, and it is not tested."))


def _show_prompt(prompt: Prompt, console: Console) -> None:
    if prompt.error is not None:
        console.print(Text(f"The sample turn cannot be rendered: {prompt.error}", style=STYLES["fail"]))
        return
    rules = f"; normalized by {', '.join(prompt.rules)}" if prompt.rules else ""
    console.print(Text(f"Prompt of a sample turn, {prompt.tokens} tokens{rules}:", style="bold"))
    console.print(Text(prompt.text.translate(_SHOWN_CONTROLS)), soft_wrap=True)


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.1f} {unit}" if unit != "bytes" else f"{count:,.0f} bytes"
        count /= 1024
    return f"{count:,.1f} GiB"
