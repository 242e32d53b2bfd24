"""Feeds the families' sample outputs to vLLM's own parsers, streamed and whole, and counts what they get wrong.

It needs vLLM and no weights: the parsers get the embedded vocabulary with the family's tokens.
`python -m tests.engine.models.vllm_parsers` writes the result into docs/models.md. It takes some minutes.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import regex
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser.parser_manager import ParserManager

from service.engine.models.formats import THOUGHTS
from service.engine.models.thinking import is_in_thought
from service.engine.models.token_texts import Piece, TokenTexts
from tests.engine.models.families import FAMILIES, TOOLS, Family, family
from tests.engine.models.family_models import profile_of, source_of, tokenizer_of
from tests.engine.models.model_tables import Table, write

HEADING = "### Measured"
DELTAS = (1, 3, 8)
"""Tokens in a delta of a stream."""
CUTS = 12
"""Places at which the token limit cuts an answer with calls."""

# vLLM's reasoning parser of each family that thinks, by its documentation and by the names of its parsers.
REASONING: Mapping[str, str] = {
    "deepseek_r1": "deepseek_r1", "deepseek_r1_distill_qwen": "deepseek_r1", "deepseek_v31": "deepseek_v3",
    "deepseek_v32": "deepseek_v3", "deepseek_v4": "deepseek_v4", "ernie45": "ernie45", "gemma4": "gemma4", "gemma4_e4b": "gemma4",
    "glm45": "glm45", "glm46": "glm45", "glm47": "glm47", "glm5": "glm47", "glm53": "glm47",
    "granite42": "granite_thinking_parser", "hunyuan_a13b": "hunyuan_a13b",
    "hunyuan_v1": "hunyuan_a13b", "hy_v3": "hy_v3", "kimi_k25": "kimi_k2",
    "kimi_k2_thinking": "kimi_k2", "laguna": "poolside_v1", "lfm25": "qwen3", "ling3": "ling3", "magistral": "mistral",
    "mimo": "mimo", "minicpm5": "qwen3", "minimax_m2": "minimax_m2", "minimax_m3": "minimax_m3", "mistral_v15": "mistral",
    "nemotron3": "nemotron_v3", "olmo3_think": "olmo3", "phi4_reasoning": "deepseek_r1", "qwen3": "qwen3", "qwen3_5": "qwen3",
    "qwen3_5_small": "qwen3", "qwen3_thinking": "qwen3", "seed_oss": "seed_oss", "smollm3": "qwen3", "step3": "step3",
    "step3p5": "step3p5",
}  # fmt: skip
NOT_MEASURED: Mapping[str, str] = {
    "openai": "it reads token IDs of gpt-oss' own vocabulary",
    "cohere_command3": "it needs the package cohere_melody, which vLLM does not install",
    "hunyuan_a13b": "the parser of its thoughts has token IDs of Hunyuan's own vocabulary in its code",
}
"""Tool parsers that do not work with these fixtures, with the reason."""


@dataclass(frozen=True)
class Answer:
    """What a caller would get. Calls are names and the text of their arguments."""

    content: str
    thought: str
    calls: tuple[tuple[str, str], ...]

    @cached_property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        return _bare(self.content), tuple((name, _canonical(arguments)) for name, arguments in self.calls)


def _bare(text: str) -> str:
    """Without white space: parsers differ in how much of it belongs to a mark, and nobody hears it."""
    return "".join(text.split())


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return f"not JSON: {arguments}"


class Subject:
    """One of vLLM's pairs of parsers, on one family."""

    def __init__(self, of: Family) -> None:
        self.family = of
        self.tool_parser = str(of.expect["tool_parser"])
        self.reasoning_parser = REASONING.get(of.name)
        self._tokenizer: Any = tokenizer_of(of)
        self._texts = TokenTexts(self._tokenizer)
        thoughts = profile_of(of).thoughts
        self._marks = THOUGHTS[thoughts.thoughts] if thoughts is not None else None
        self._prompts: dict[tuple[bool, bool], tuple[dict[str, Any], list[int]] | None] = {}
        self._parser_class: Any = ParserManager.get_parser(
            tool_parser_name=self.tool_parser, reasoning_parser_name=self.reasoning_parser, enable_auto_tools=True
        )

    @property
    def outputs(self) -> list[Mapping[str, Any]]:
        """The samples that vLLM's parsers are meant for.

        Left out are thoughts, if vLLM has no parser for this family's; what no prompt of the template leads to; and answers
        without a thought, of a model that always thinks.
        """
        always_thinks = profile_of(self.family).thinking.is_stuck_on
        return [
            each
            for each in self.family.outputs
            if (not self._thinks(each) if self.reasoning_parser is None else self._thinks(each) or not always_thinks)
            and self._prompt(each) is not None
        ]

    def _thinks(self, output: Mapping[str, Any]) -> bool:
        opens = self._marks is not None and regex.search(self._marks.opens, output["text"]) is not None
        return bool(output["reasoning"]) or bool(output["prompt_opens_thought"]) or opens

    def tokens(self, text: str) -> list[int]:
        return self._texts.encode(text)

    def streamed(self, output: Mapping[str, Any], token_ids: Sequence[int], size: int, *, is_cut: bool = False) -> Answer:
        """Read it in deltas of this many tokens. Raises what the parser raises."""
        parser, request, prompt = self._begin(output)
        content, thought, calls = "", "", dict[int, tuple[str, str]]()
        deltas = list(self._deltas(token_ids, size, request, is_cut=is_cut))
        for number, (text, ids) in enumerate(deltas, 1):
            delta = parser.parse_delta(text, ids, request, prompt, finished=number == len(deltas))
            if delta is None:
                continue
            content, thought = content + (delta.content or ""), thought + (delta.reasoning or "")
            for call in delta.tool_calls or ():
                name, arguments = calls.get(call.index, ("", ""))
                function = call.function
                calls[call.index] = name + (function.name or ""), arguments + (function.arguments or "")
        return Answer(content, thought, tuple(calls.values()))

    def whole(self, output: Mapping[str, Any], token_ids: Sequence[int], *, is_cut: bool = False) -> Answer:
        """Read it at once. Raises what the parser raises."""
        parser, request, prompt = self._begin(output)
        parser.set_prompt_token_ids(prompt)
        ((text, ids),) = self._deltas(token_ids, len(token_ids) + 1, request, is_cut=is_cut)
        thought, content, calls = parser.parse(text, request, enable_auto_tools=True, model_output_token_ids=ids)
        return Answer(content or "", thought or "", tuple((call.name, call.arguments) for call in calls or ()))

    def _begin(self, output: Mapping[str, Any]) -> tuple[Any, Any, list[int]]:
        variables, prompt = self._prompt(output) or ({}, [])
        request = ChatCompletionRequest(
            model="m", messages=_HELLO, tools=TOOLS, tool_choice="auto", chat_template_kwargs=variables or None
        )
        parser = self._parser_class(self._tokenizer, request.tools, chat_template_kwargs=variables, model_config=None)
        return parser, parser.adjust_request(request), prompt

    def _prompt(self, output: Mapping[str, Any]) -> tuple[dict[str, Any], list[int]] | None:
        """Return the variables and the prompt of a turn with this answer: it ends inside a thought if the answer begins there."""
        way = self._thinks(output), bool(output["prompt_opens_thought"])
        if way not in self._prompts:
            self._prompts[way] = self._find_prompt(*way)
        return self._prompts[way]

    def _find_prompt(self, thinks: bool, is_open: bool) -> tuple[dict[str, Any], list[int]] | None:
        thinking = profile_of(self.family).thinking
        choices: list[dict[str, Any]] = [{}] if thinking.switch is None or thinking.thinks_by_default == thinks else []
        if thinking.switch is not None:
            choices.insert(0, {thinking.switch.variable: thinking.switch.on if thinks else thinking.switch.off})
        for variables in choices:
            prompt = self._render(variables)
            if self._marks is None:
                return variables, self.tokens(prompt)
            closed = [match.end() for match in regex.finditer(self._marks.closes, prompt)]
            is_over = bool(closed) and not prompt[closed[-1] :].strip()
            if is_in_thought(prompt, self._marks) == is_open and not (thinks and is_over):
                return variables, self.tokens(prompt)
        return None

    def _render(self, variables: Mapping[str, Any]) -> str:
        render = source_of(self.family).render
        try:
            return render(_HELLO, TOOLS, variables)
        except Exception:  # FunctionGemma wants a description of each parameter. Only the end of the prompt counts here.
            return render(_HELLO, None, variables)

    def _deltas(self, token_ids: Sequence[int], size: int, request: Any, *, is_cut: bool) -> Iterator[tuple[str, list[int]]]:
        """Yield text and token IDs, as vLLM's detokenizer gives them. The token that ends an answer has no text."""
        stream = self._texts.stream(())
        steps = [(self._shown(stream.next(token_id), request), token_id) for token_id in token_ids]
        steps += [] if is_cut else [("", int(self._tokenizer.eos_token_id))]
        for start in range(0, len(steps), size):
            part = steps[start : start + size]
            yield "".join(text for text, _ in part), [token_id for _, token_id in part]

    @staticmethod
    def _shown(pieces: Sequence[Piece], request: Any) -> str:
        return "".join(text for text, is_special in pieces if not (is_special and request.skip_special_tokens))


_HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


@dataclass
class Row:
    """Counts of sample outputs for one pair of parsers."""

    outputs: int = 0
    right: Counter[str] = field(default_factory=Counter)
    """By way of reading: `whole`, or tokens in a delta."""
    differs: int = 0
    """Streamed and whole answers are not the same, or not at every size of deltas."""
    calls: int = 0
    """A call is lost, invented, or has other arguments, in some way of reading."""
    spoken: int = 0
    """Markup or a thought is in the content."""
    silent: int = 0
    """Content is missing."""
    crashed: int = 0
    with_calls: int = 0
    spoken_if_cut: int = 0
    """Outputs with calls of which some beginning, read whole, has markup in the content."""


def measure(names: Sequence[str] = FAMILIES) -> dict[tuple[str, str | None], Row]:
    """Return the counts by tool parser and reasoning parser."""
    logging.getLogger("vllm").setLevel(logging.CRITICAL)
    rows: dict[tuple[str, str | None], Row] = {}
    for of in map(family, names):
        if of.expect["tool_parser"] in NOT_MEASURED:
            continue
        subject = Subject(of)
        row = rows.setdefault((subject.tool_parser, subject.reasoning_parser), Row())
        for output in subject.outputs:
            _count(row, subject, output)
    return dict(sorted(rows.items(), key=lambda item: (item[0][0], item[0][1] or "")))


def _count(row: Row, subject: Subject, output: Mapping[str, Any]) -> None:
    expected = Answer(
        output["content"], output["reasoning"], tuple((call["name"], json.dumps(call["arguments"])) for call in output["calls"])
    )
    token_ids = subject.tokens(output["text"])
    answers: dict[str, Answer | None] = {}
    for way in ("whole", *map(str, DELTAS)):
        try:
            is_whole = way == "whole"
            answers[way] = subject.whole(output, token_ids) if is_whole else subject.streamed(output, token_ids, int(way))
        except Exception:  # What a parser raises is a turn that failed.
            answers[way] = None
    row.outputs += 1
    row.right.update(way for way, answer in answers.items() if answer is not None and answer.key == expected.key)
    row.differs += len({answer and answer.key for answer in answers.values()}) > 1
    row.crashed += None in answers.values()
    read = [answer for answer in answers.values() if answer is not None]
    row.calls += any(answer.key[1] != expected.key[1] for answer in read)
    row.spoken += any(not _is_part(answer.content, expected.content) for answer in read)
    row.silent += any(_is_part(answer.content, expected.content) and answer.key[0] != expected.key[0] for answer in read)
    if output["calls"]:
        row.with_calls += 1
        row.spoken_if_cut += _is_spoken_if_cut(subject, output, token_ids)


def _is_part(content: str, expected: str) -> bool:
    """Whether the content is what was expected, perhaps with something missing."""
    rest = iter(_bare(expected))
    return all(char in rest for char in _bare(content))


def _is_spoken_if_cut(subject: Subject, output: Mapping[str, Any], token_ids: Sequence[int]) -> bool:
    places = sorted({1 + (len(token_ids) - 1) * place // CUTS for place in range(CUTS)})
    for place in places:
        try:
            answer = subject.whole(output, token_ids[:place], is_cut=True)
        except Exception:
            continue
        if not _is_part(answer.content, output["content"]):
            return True
    return False


def table() -> Table:
    """Return the table of docs/models.md."""
    header = (
        "tool parser", "reasoning parser", "samples", "right, whole", *(f"right, {size} a delta" for size in DELTAS),
        "differ", "calls wrong", "spoken", "silent", "crashed", "spoken if cut",
    )  # fmt: skip
    rows = [
        (
            f"`{tool}`",
            f"`{reasoning}`" if reasoning else "–",
            *map(str, (row.outputs, row.right["whole"], *(row.right[str(size)] for size in DELTAS))),
            *map(str, (row.differs, row.calls, row.spoken, row.silent, row.crashed)),
            f"{row.spoken_if_cut} of {row.with_calls}",
        )
        for (tool, reasoning), row in measure().items()
    ]
    return header, rows


if __name__ == "__main__":
    write({HEADING: table()})
