"""Outputs of vLLM's engine as plain data with the same attributes, and a vocabulary of a few words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.domain import ChatJob, Generated
from service.engine.models.formats import CALLS, answer_format
from service.engine.models.readers.answer import AnswerReader
from service.engine.models.readers.parts import Offered
from service.engine.vllm.output_events import ChoiceReader, TurnReader

WEATHER = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
HANG_UP = '{"name": "hang_up", "arguments": {}}'
SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "get_weather": {"type": "object", "properties": {"city": {"type": "string"}}},
    "hang_up": {"type": "object"},
}
END = 0
"""The token that ends an answer."""


@dataclass
class Logprob:
    logprob: float
    rank: int | None
    decoded_token: str | None = None


@dataclass
class Choice:
    """The attributes of vLLM's `CompletionOutput` that are read."""

    token_ids: Sequence[int] = ()
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
class Words:
    """A vocabulary that grows: each text that is asked for is a token. A text in angle brackets and bars is a special one."""

    texts: list[str] = field(default_factory=lambda: ["<|end|>"])

    def ids(self, *texts: str) -> list[int]:
        return [self._id(text) for text in texts]

    def _id(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def next(self, token_id: int) -> Sequence[tuple[str, bool]]:
        text = self.texts[token_id]
        if text.startswith("half of "):
            return ()
        return ((text, text.startswith("<|")),)

    def token(self, token_id: int) -> tuple[str, bytes]:
        text = self.texts[token_id]
        return ("\ufffd", b"\xf0\x9f") if text.startswith("half of ") else (text, text.encode())


def choice_reader(words: Words, job: ChatJob, index: int = 0, **reading: Any) -> ChoiceReader:
    """A reader of Hermes' calls and of thoughts between `<think>` tags."""
    is_parallel = job.tool_use is None or job.tool_use.is_parallel
    offered = Offered(SCHEMAS if job.tool_use is not None else {}, None if is_parallel else 1)
    parts = AnswerReader(answer_format([CALLS["hermes"]], "think"), offered, stops=job.sampling.stop, **reading)
    return ChoiceReader(index, job, words, parts, words.token)


def turn_reader(words: Words, job: ChatJob, generated: Generated | None = None, **more: Any) -> TurnReader:
    readers = [choice_reader(words, job, index) for index in range(job.sampling.n)]
    return TurnReader(readers, 3, generated or Generated(), **more)
