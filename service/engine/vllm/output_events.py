"""What vLLM's engine puts out -> events. Knows the shape of vLLM's outputs, and imports nothing of vLLM.

The engine gives token IDs only. They are decoded and read here one by one, so a stream and a whole answer are read alike, and the
number of tokens in an output makes no difference.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from service.domain import (
    ChatJob,
    ChoiceFinished,
    Event,
    Finished,
    FinishReason,
    Generated,
    ReasoningDelta,
    Step,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from service.engine.models.readers.parts import Call, Content, Dropped, End, Part, Thought
from service.engine.models.token_texts import TokenStream
from service.engine.vllm.token_logprobs import LogprobQueue, TokenText, token_logprob
from service.errors import EngineFailed, InvalidRequest, NothingSaid
from service.ids import new_id

_ENDS: dict[str, End] = {"stop": "stop", "length": "length", "repetition": "stop"}


class PartReader(Protocol):
    """Reads an answer's tokens: `AnswerReader`, or one that asks vLLM's own parser."""

    tokens: int
    thought_tokens: int
    has_said: bool
    has_called: bool
    has_withheld: bool

    @property
    def mode(self) -> str: ...

    @property
    def is_over(self) -> bool: ...

    def read(self, text: str, *, is_special: bool = False, token_id: int = 0) -> list[Part]: ...

    def finish(self, end: End) -> list[Part]: ...


class ChoiceReader:
    """Reads one choice of an answer."""

    def __init__(self, index: int, job: ChatJob, stream: TokenStream, parts: PartReader, token_text: TokenText) -> None:
        self.index = index
        self.parts = parts
        self.is_finished = False
        self.dropped: list[str] = []
        self._job = job
        self._stream = stream
        self._token_text = token_text
        self._top = job.sampling.top_logprobs
        self._logprobs = LogprobQueue() if self._top is not None else None
        self._calls = 0

    def read(self, choice: Any) -> list[Event]:
        """The events of one output of this choice. Raises `EngineFailed` where the engine gave up on it."""
        if self.is_finished:  # A stop string has ended this choice. The engine ends it when all choices are over.
            return []
        events: list[Event] = []
        last = len(choice.token_ids) - 1
        for place, token_id in enumerate(choice.token_ids):
            if choice.finish_reason == "stop" and place == last:  # It ends the answer: counted, and no part of it.
                events += self._events(self.parts.read("", token_id=token_id))
                break
            logprobs = choice.logprobs[place] if choice.logprobs else None
            events += self._read_token(token_id, self._stream.next(token_id), logprobs)
            if self.parts.is_over:
                return _merged(events + self._finish("stop"))
        return _merged(events if choice.finish_reason is None else events + self._finish(_end(choice)))

    def _read_token(self, token_id: int, pieces: Sequence[tuple[str, bool]], logprobs: Any) -> list[Event]:
        is_text = not any(is_special for _, is_special in pieces) and self.parts.mode == "content"
        if self._logprobs is not None and logprobs is not None and is_text:
            assert self._top is not None
            text = "".join(text for text, _ in pieces)
            self._logprobs.add(token_logprob(token_id, logprobs, self._top, self._token_text), len(text))
        if not pieces:
            return self._events(self.parts.read("", token_id=token_id))
        if len(pieces) == 1:
            return self._events(self.parts.read(pieces[0][0], is_special=pieces[0][1], token_id=token_id))
        self.parts.tokens -= len(pieces) - 1  # Several pieces are still one token.
        parts = [part for text, is_special in pieces for part in self.parts.read(text, is_special=is_special, token_id=token_id)]
        return self._events(parts)

    def _finish(self, end: End) -> list[Event]:
        is_stopped = self.parts.is_over
        events = self._events(self.parts.finish(end))
        if self._logprobs is not None and not is_stopped and (rest := self._logprobs.rest()):
            events.append(TextDelta(self.index, "", tuple(rest)))
        self.is_finished = True
        return [*events, ChoiceFinished(self.index, self._reason(end))]

    def _events(self, parts: Iterable[Part]) -> list[Event]:
        events: list[Event] = []
        for part in parts:
            if isinstance(part, Content):
                logprobs = None if self._logprobs is None else tuple(self._logprobs.given(len(part.text)))
                events.append(TextDelta(self.index, part.text, logprobs))
            elif isinstance(part, Thought):
                events.append(ReasoningDelta(self.index, part.text))
            elif isinstance(part, Call):
                call_id = part.id or f"call_{new_id()}"
                events.append(ToolCallDelta(self.index, self._calls, part.arguments, id=call_id, name=part.name))
                self._calls += 1
            elif isinstance(part, Dropped):
                self.dropped.append(part.reason.value)
        if self._logprobs is not None and self.parts.mode != "content":
            self._logprobs.drop()
        return events

    def _reason(self, end: End) -> FinishReason:
        # As at OpenAI: `tool_calls` where the model chose to call, `stop` where the caller named the function.
        is_named = self._job.tool_use is not None and self._job.tool_use.choice == "named"
        return "tool_calls" if end == "stop" and self.parts.has_called and not is_named else end


class TurnReader:
    """All choices of a turn, and what they used."""

    def __init__(
        self, readers: Sequence[ChoiceReader], prompt_tokens: int, generated: Generated, *, constraint: str | None = None
    ) -> None:
        """`generated` is updated with each output. `constraint`: the field by which the answer is held to a schema."""
        self._readers = readers
        self._constraint = constraint
        self._has_spoken = False
        self._prompt_tokens = prompt_tokens
        self._generated = generated
        self.is_over = False
        """All choices have ended. The engine may not know yet, if a stop string ended one."""

    def read(self, output: Any) -> Step:
        """One output of the engine -> its events; `Finished` is the last.

        Raises `EngineFailed`, `InvalidRequest`, or `NothingSaid` where the model ended its answer without a word or a call that
        can be passed on.
        """
        events: list[Event] = []
        for choice in output.outputs:
            try:
                events += self._readers[choice.index].read(choice)
            except EngineFailed:
                if self._constraint is None or self._has_spoken:
                    raise
                # Some schemas pass vLLM's check, and its grammar then refuses every token: it is the schema, not the engine.
                raise InvalidRequest(
                    f"{self._constraint}: no answer can be held to this schema here.",
                    param=self._constraint,
                    code="invalid_value",
                ) from None
            except Exception as error:  # A reader that trips over what the model said: nothing that the caller did.
                raise EngineFailed from error
        self._generated.tokens = self.completion_tokens
        self._generated.dropped_calls = [reason for reader in self._readers for reason in reader.dropped]
        self._has_spoken = self._has_spoken or bool(events)
        self.is_over = output.finished or all(reader.is_finished for reader in self._readers)
        if self.is_over:
            self._check_said(events)
            reasoning_tokens = sum(reader.parts.thought_tokens for reader in self._readers)
            cached_tokens = output.num_cached_tokens or 0
            events.append(Finished(Usage(self._prompt_tokens, self.completion_tokens, cached_tokens, reasoning_tokens)))
        return events

    @property
    def completion_tokens(self) -> int:
        """Completion tokens of all choices, each up to its end."""
        return sum(reader.parts.tokens for reader in self._readers)

    def _check_said(self, events: Sequence[Event]) -> None:
        """An answer that was withheld as a whole is an error, not silence. A token limit is the caller's own choice."""
        parts = [reader.parts for reader in self._readers]
        is_cut = any(isinstance(event, ChoiceFinished) and event.reason == "length" for event in events)
        is_withheld = any(each.has_withheld for each in parts) and not any(each.has_said or each.has_called for each in parts)
        if is_withheld and not is_cut:
            raise NothingSaid


def _merged(events: list[Event]) -> list[Event]:
    """Join the texts of one output: each event is a frame of its own, and under load one output has many tokens."""
    merged: list[Event] = []
    for event in events:
        last = merged[-1] if merged else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta):
            has_logprobs = event.logprobs is not None or last.logprobs is not None
            logprobs = (*(last.logprobs or ()), *(event.logprobs or ())) if has_logprobs else None
            merged[-1] = TextDelta(event.index, last.text + event.text, logprobs)
        elif isinstance(event, ReasoningDelta) and isinstance(last, ReasoningDelta):
            merged[-1] = ReasoningDelta(event.index, last.text + event.text)
        else:
            merged.append(event)
    return merged


def _end(choice: Any) -> End:
    """Raises `EngineFailed` for "abort" and "error": half an answer is not an answer."""
    end = _ENDS.get(choice.finish_reason)
    if end is None:
        raise EngineFailed
    return end
