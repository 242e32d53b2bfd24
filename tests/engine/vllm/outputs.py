"""Outputs of vLLM's engine as plain data with the same attributes, and a parser for a test format."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Logprob:
    logprob: float
    rank: int | None
    decoded_token: str | None


@dataclass
class Choice:
    """The attributes of vLLM's `CompletionOutput` that are read."""

    text: str = ""
    token_ids: Sequence[int] = (1,)
    finish_reason: str | None = None
    logprobs: list[dict[int, Logprob]] | None = None
    index: int = 0


@dataclass
class Output:
    """vLLM's `RequestOutput`."""

    outputs: list[Choice]
    finished: bool = False
    num_cached_tokens: int | None = None


@dataclass
class Function:
    name: str | None = None
    arguments: str | None = None


@dataclass
class Call:
    """A streamed call has an index and a function. A whole call has its own name and arguments."""

    index: int = 0
    id: str | None = None
    function: Function | None = None
    name: str | None = None
    arguments: str = ""


@dataclass
class Delta:
    content: str | None = None
    reasoning: str | None = None
    tool_calls: list[Call] = field(default_factory=list)


@dataclass
class TinyParser:
    """A parser for a test format with one piece per delta. Streamed and whole answers must agree.

    `?` begins reasoning, `!` a call's name with its arguments, `+` more arguments. Everything else is text.
    """

    ids: bool = True
    calls: int = 0
    seen: list[tuple[str, bool]] = field(default_factory=list)

    def parse_delta(
        self, *, delta_text: str, delta_token_ids: list[int], request: Any, prompt_token_ids: list[int] | None, finished: bool
    ) -> Delta | None:
        self.seen.append((delta_text, finished))
        if not delta_text:
            return None
        if delta_text[0] == "?":
            return Delta(reasoning=delta_text[1:])
        if delta_text[0] == "!":
            self.calls += 1
            name, _, arguments = delta_text[1:].partition(" ")
            return Delta(tool_calls=[Call(self.calls - 1, self._id(self.calls - 1), Function(name, arguments))])
        if delta_text[0] == "+":
            return Delta(tool_calls=[Call(self.calls - 1, None, Function(None, delta_text[1:]))])
        return Delta(content=delta_text)

    def parse(
        self, model_output: str, request: Any, *, enable_auto_tools: bool, model_output_token_ids: Sequence[int]
    ) -> tuple[str | None, str | None, list[Call] | None]:
        assert enable_auto_tools
        pieces = model_output.split("|")
        thought = "".join(piece[1:] for piece in pieces if piece.startswith("?"))
        said = "".join(piece for piece in pieces if piece[:1] not in "?!+")
        calls: list[Call] = []
        for piece in pieces:
            if piece.startswith("!"):
                name, _, arguments = piece[1:].partition(" ")
                calls.append(Call(id=self._id(len(calls)), name=name, arguments=arguments))
            elif piece.startswith("+"):
                calls[-1].arguments += piece[1:]
        return thought or None, said or None, calls or None

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int:
        return sum(token_id >= 100 for token_id in token_ids)

    def _id(self, number: int) -> str | None:
        return f"call_{number}" if self.ids else None


def decode(token_id: int) -> str:
    return f"<{token_id}>"
