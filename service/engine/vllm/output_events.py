"""What vLLM's engine puts out -> events. Knows the shape of vLLM's outputs and parsers, and imports nothing of them.

Three readers of a choice: plain text as it comes; through vLLM's parser delta by delta (tools, reasoning, streamed); and
through the parser once, when the whole text is there (not streamed: the parser sees more and errs less).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from service.domain import (
    ChatJob,
    ChoiceFinished,
    Event,
    Finished,
    FinishReason,
    ReasoningDelta,
    Step,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from service.errors import EngineFailed, InvalidRequest
from service.ids import new_id

_FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "repetition": "stop"}
# vLLM's server shows the same floor: JSON has no -inf.
_LEAST_LOGPROB = -9999.0


class ParserLike(Protocol):
    """vLLM's `Parser`: one a choice, since it keeps state."""

    def parse(
        self, model_output: str, request: Any, *, enable_auto_tools: bool, model_output_token_ids: Sequence[int]
    ) -> Any: ...

    def parse_delta(
        self, *, delta_text: str, delta_token_ids: list[int], request: Any, prompt_token_ids: list[int] | None, finished: bool
    ) -> Any: ...

    def count_reasoning_tokens(self, token_ids: Sequence[int]) -> int: ...


class ChoiceReader:
    """Plain text, as it comes."""

    def __init__(self, index: int, job: ChatJob, decode: Callable[[int], str]) -> None:
        self.index = index
        self.reasoning_tokens = 0
        self._job = job
        self._decode = decode

    def read(self, choice: Any) -> list[Event]:
        """The events of one output of this choice. Raises `EngineFailed` where the engine gave up on it."""
        events: list[Event] = []
        logprobs = token_logprobs(choice, self._job.sampling.top_logprobs, self._decode)
        if choice.text or logprobs:
            events.append(TextDelta(self.index, choice.text, logprobs))
        if choice.finish_reason is not None:
            events.append(ChoiceFinished(self.index, finish_reason(choice)))
        return events


class ParsedReader(ChoiceReader):
    """Through vLLM's parser: text, thoughts and tool calls told apart."""

    def __init__(
        self,
        index: int,
        job: ChatJob,
        decode: Callable[[int], str],
        *,
        parser: ParserLike,
        request: Any,
        prompt_token_ids: list[int],
    ) -> None:
        super().__init__(index, job, decode)
        self._parser = parser
        self._request = request
        self._prompt_token_ids = prompt_token_ids
        self._token_ids: list[int] = []
        self._texts: list[str] = []
        self._calls_seen: set[int] = set()

    def read(self, choice: Any) -> list[Event]:
        is_finished = choice.finish_reason is not None
        token_ids = list(choice.token_ids)
        self._token_ids += token_ids
        logprobs = token_logprobs(choice, self._job.sampling.top_logprobs, self._decode)
        if self._job.is_stream:
            delta = self._parser.parse_delta(
                delta_text=choice.text,
                delta_token_ids=token_ids,
                request=self._request,
                prompt_token_ids=self._prompt_token_ids,
                finished=is_finished,
            )
            events = self._of_delta(delta, logprobs)
        else:
            self._texts.append(choice.text)
            events = [TextDelta(self.index, "", logprobs)] if logprobs else []
            if is_finished:
                events += self._of_whole()
        if is_finished:
            # A thought can begin in the prompt, where the template opens it: count with the prompt, and take its own share off.
            with_prompt = self._parser.count_reasoning_tokens([*self._prompt_token_ids, *self._token_ids])
            self.reasoning_tokens = with_prompt - self._parser.count_reasoning_tokens(self._prompt_token_ids)
            events.append(ChoiceFinished(self.index, self._reason(finish_reason(choice))))
        return events

    def _of_delta(self, delta: Any, logprobs: tuple[TokenLogprob, ...] | None) -> list[Event]:
        content = (delta.content if delta is not None else None) or ""
        events: list[Event] = []
        if delta is not None and delta.reasoning:
            events.append(ReasoningDelta(self.index, delta.reasoning))
        if content or logprobs:
            events.append(TextDelta(self.index, content, logprobs))
        for call in (delta.tool_calls or ()) if delta is not None else ():
            function = call.function
            events += self._call(call.index, call.id, function and function.name, (function and function.arguments) or "")
        return events

    def _of_whole(self) -> list[Event]:
        reasoning, content, calls = self._parser.parse(
            "".join(self._texts), self._request, enable_auto_tools=True, model_output_token_ids=self._token_ids
        )
        events: list[Event] = []
        if reasoning:
            events.append(ReasoningDelta(self.index, reasoning))
        if content:
            events.append(TextDelta(self.index, content))
        for position, call in enumerate(calls or ()):
            events += self._call(position, call.id, call.name, call.arguments)
        return events

    def _call(self, call: int, call_id: str | None, name: str | None, arguments: str) -> list[Event]:
        if call > 0 and self._job.tool_use is not None and not self._job.tool_use.is_parallel:
            return []  # Asked for one call at most.
        if call in self._calls_seen:
            return [ToolCallDelta(self.index, call, arguments)]
        self._calls_seen.add(call)
        return [ToolCallDelta(self.index, call, arguments, id=call_id or f"call_{new_id()}", name=name)]

    def _reason(self, reason: FinishReason) -> FinishReason:
        # As at OpenAI: `tool_calls` where the model chose to call, `stop` where the caller named the function.
        is_named = self._job.tool_use is not None and self._job.tool_use.choice == "named"
        return "tool_calls" if reason == "stop" and self._calls_seen and not is_named else reason


class TurnReader:
    """All choices of a turn, and what they used."""

    def __init__(self, readers: Sequence[ChoiceReader], prompt_tokens: int, *, constraint: str | None = None) -> None:
        """`constraint`: the field by which the answer is held to a schema."""
        self._readers = readers
        self._constraint = constraint
        self._has_spoken = False
        self._prompt_tokens = prompt_tokens
        self.completion_tokens = 0

    def read(self, output: Any) -> Step:
        """One output of the engine -> its events; `Finished` is the last. Raises `EngineFailed`, or `InvalidRequest`."""
        events: list[Event] = []
        for choice in output.outputs:
            self.completion_tokens += len(choice.token_ids)
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
            except Exception as error:  # A parser that trips over what its model said: nothing that the caller did.
                raise EngineFailed from error
        self._has_spoken = self._has_spoken or bool(events)
        if output.finished:
            reasoning_tokens = sum(reader.reasoning_tokens for reader in self._readers)
            cached_tokens = output.num_cached_tokens or 0
            events.append(Finished(Usage(self._prompt_tokens, self.completion_tokens, cached_tokens, reasoning_tokens)))
        return events


def finish_reason(choice: Any) -> FinishReason:
    """Raises `EngineFailed` for "abort" and "error": half an answer is not an answer."""
    reason = _FINISH_REASONS.get(choice.finish_reason)
    if reason is None:
        raise EngineFailed
    return reason


def token_logprobs(choice: Any, top: int | None, decode: Callable[[int], str]) -> tuple[TokenLogprob, ...] | None:
    """The log probabilities of an output's tokens, where they were asked for."""
    if top is None or not choice.logprobs:
        return None
    return tuple(
        _token_logprob(token_id, at_place, top, decode)
        for token_id, at_place in zip(choice.token_ids, choice.logprobs, strict=False)
    )


def _token_logprob(token_id: int, at_place: Mapping[int, Any], top: int, decode: Callable[[int], str]) -> TokenLogprob:
    likeliest = sorted(at_place.items(), key=lambda item: item[1].rank)[:top]
    return _one(token_id, at_place.get(token_id), decode, tuple(_one(each_id, each, decode) for each_id, each in likeliest))


def _one(token_id: int, logprob: Any, decode: Callable[[int], str], top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    decoded = None if logprob is None else logprob.decoded_token
    text = decode(token_id) if decoded is None else decoded
    value = _LEAST_LOGPROB if logprob is None else max(logprob.logprob, _LEAST_LOGPROB)
    return TokenLogprob(token=text, logprob=value, token_bytes=text.encode(errors="replace"), top=top)
