"""The report on a model, a stable document format (docs/models.md)."""

from typing import Any, Literal

from service.console.report import Document
from service.domain import Thinking

Turns = Literal["think", "may think", "answer"]
"""What turns do: begin with a thought, may begin with one, or answer at once."""


class ToolCalls(Document):
    parser: str
    """Name of vLLM's parser of this format."""
    why: str
    read_by: Literal["firstword", "vllm"]
    """Whose reader reads the answers."""


class Thoughts(Document):
    marks: str | None
    """Name of the pair of marks. Null: only vLLM's parser knows them."""
    engine_parser: str | None
    """vLLM's parser, which tells the engine where a thought ends. Null: vLLM has none."""
    why: str


class ThinkingSwitch(Document):
    variable: str
    off: Any
    """The value for no thoughts, or for the least there is."""
    on: Any
    turns_off: bool
    """False if `off` only makes thoughts shorter."""
    levels: dict[str, Any]
    """The value for each `reasoning_effort`."""


class Effect(Document):
    setting: Thinking
    """A value of FIRSTWORD_THINKING."""
    variables: dict[str, Any]
    """The template's variables then, with those of FIRSTWORD_TEMPLATE_KWARGS."""
    turns: Turns


class ThinkingReport(Document):
    can_think: bool
    by_default: bool
    """Whether turns may think where no variable is set."""
    switch: ThinkingSwitch | None
    cannot_be_turned_off: bool
    setting: Thinking
    """FIRSTWORD_THINKING as it is set."""
    effects: list[Effect]


class Template(Document):
    source: Literal["FIRSTWORD_CHAT_TEMPLATE", "model", "encoder"]
    """`encoder`: the tokenizer writes prompts without a template."""
    traits: dict[str, bool]
    """By the names of `TemplateTraits`."""
    control_marks: list[str]
    """Texts that may not stand in a message as they are."""


class Calls(Document):
    gpu_gib: float | None
    """Memory of each GPU. Null: the memory for the KV cache was given."""
    kv_gib: float | None
    """Memory for the KV cache, of all GPUs. Null: the size of the weights is unknown. Not above 0: the weights do not fit."""
    calls: int | None
    """Calls that are kept at once. Null: unknown, or without limit."""


class Memory(Document):
    context_tokens: int | None
    """Longest prompt and answer together. Null: unknown."""
    weights_bytes: int | None
    weights_from: str | None
    """Where the size of the weights comes from."""
    kv_bytes_per_token: float | None
    """Bytes of each token in the layers that cache all tokens. Null: the configuration does not tell."""
    window_tokens: int
    """Tokens that layers with a window cache at most. 0: no layer has a window."""
    window_bytes_per_token: float
    state_bytes: float
    """Bytes of each running turn, whatever its length."""
    call_tokens: int
    """Tokens of a call: prompt and answer."""
    call_bytes: float | None
    assumed: str
    calls: list[Calls]


class Sample(Document):
    what: str
    is_right: bool
    detail: str


class SelfTest(Document):
    tokens_per_delta: list[int]
    samples: list[Sample]
    """Empty: only vLLM's parser can read this format, and it is not tested."""


class Prompt(Document):
    text: str
    tokens: int
    rules: list[str]
    """Rules of normalization that changed the sample turn for this template."""
    error: str | None
    """Why it could not be rendered."""


class Report(Document):
    format: Literal[1] = 1
    """Format version. It increases when a field is removed or changes its meaning, and not when a field is added."""
    firstword_version: str
    model: str
    folder: str
    model_type: str
    tokenizer: str
    """vLLM's `tokenizer_mode`."""
    verdict: Literal["pass", "fail"]
    refusal: str | None
    """Why `firstword serve` would refuse the model. Null: it would not."""
    tool_calls: ToolCalls | None
    """Null: calls are not looked for, or nothing is known."""
    thoughts: Thoughts | None
    """Null: thoughts are not looked for, or nothing is known."""
    unproven: str | None
    """Why the reader of this format is not proven. Null: it is."""
    thinking: ThinkingReport | None
    template: Template | None
    memory: Memory
    self_test: SelfTest | None
    prompt: Prompt | None
    """Null without `--prompt`."""


def as_json(report: Report) -> str:
    return report.model_dump_json(indent=2) + "\n"
