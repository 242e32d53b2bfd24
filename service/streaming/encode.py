"""Encodes events as bytes: server-sent events, or one JSON body.

The constant parts of an envelope are encoded once per turn. So a streamed token costs one JSON string and one concatenation.
"""

from typing import Any, Protocol

import orjson

from service.domain import (
    ChatJob,
    ChoiceFinished,
    Event,
    Finished,
    ReasoningDelta,
    Step,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)  # fmt: skip
from service.streaming.graphemes import Holdback

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"


class Encoder(Protocol):
    media_type: str

    @property
    def has_begun(self) -> bool:
        """Whether bytes of the answer exist. From then on an error cannot have an HTTP status of its own."""
        ...

    def encode(self, step: Step) -> bytes:
        """Return the bytes that can be sent now. Empty if there are none."""
        ...


def encoder_for(job: ChatJob, fingerprint: str) -> Encoder:
    """Return the encoder for a turn: SSE for a streamed answer, otherwise JSON."""
    return SseEncoder(job, fingerprint) if job.is_stream else JsonEncoder(job, fingerprint)


class SseEncoder:
    """Encodes `chat.completion.chunk` events.

    The role goes in the same bytes as a choice's first delta. Sent earlier, it would be taken for the first token:
    `vllm bench serve` would measure TTFT with it.
    """

    media_type = EVENT_STREAM

    def __init__(self, job: ChatJob, fingerprint: str) -> None:
        head = orjson.dumps(_envelope(job, fingerprint, "chat.completion.chunk"))
        self._head = b"data: " + head[:-1] + b',"choices":['
        # If usage is requested, every chunk has the field, as at OpenAI. It is null until the last chunk.
        self._tail = b'],"usage":null}\n\n' if job.include_usage else b"]}\n\n"
        self._include_usage = job.include_usage
        self._is_legacy = job.is_legacy_functions
        self._roles_sent: set[int] = set()
        self._holdback = Holdback()

    @property
    def has_begun(self) -> bool:
        return bool(self._roles_sent)

    def encode(self, step: Step) -> bytes:
        return self._frame(step[0]) if len(step) == 1 else b"".join([self._frame(event) for event in step])

    def _frame(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):
            text = event.text if event.text.isascii() and not self._holdback.is_holding else self._holdback.pass_on(event)
            if not text and event.logprobs is None:
                return b""
            return self._choice(event.index, b'{"content":' + _json_string(text) + b"}", logprobs=_logprobs_json(event.logprobs))
        if isinstance(event, ChoiceFinished):
            rest = self._holdback.release(event.index)
            reason = "function_call" if self._is_legacy and event.reason == "tool_calls" else event.reason
            held = self._choice(event.index, b'{"content":' + _json_string(rest) + b"}") if rest else b""
            return held + self._choice(event.index, b"{}", finish_reason=b'"%s"' % reason.encode())
        if isinstance(event, ReasoningDelta):
            return self._choice(event.index, b'{"reasoning_content":' + _json_string(event.text) + b"}")
        if isinstance(event, ToolCallDelta):
            return self._choice(event.index, orjson.dumps(_tool_delta(event, is_legacy=self._is_legacy)))
        return self._end(event)

    def _choice(self, index: int, delta: bytes, *, logprobs: bytes = b"null", finish_reason: bytes = b"null") -> bytes:
        role = b""
        if index not in self._roles_sent:
            self._roles_sent.add(index)
            role = self._choice(index, b'{"role":"assistant","content":""}')
        return b"%b%b{\"index\":%d,\"delta\":%b,\"logprobs\":%b,\"finish_reason\":%b}%b" % (
            role, self._head, index, delta, logprobs, finish_reason, self._tail,
        )  # fmt: skip

    def _end(self, event: Finished) -> bytes:
        if not self._include_usage:
            return DONE
        return self._head + b'],"usage":' + orjson.dumps(_usage(event.usage)) + b"}\n\n" + DONE


class _Choice:
    """One choice of an answer that is not streamed, while it is collected."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.logprobs: list[TokenLogprob] | None = None
        self.reason: str | None = None

    def add(self, event: TextDelta | ReasoningDelta | ToolCallDelta | ChoiceFinished) -> None:
        if isinstance(event, TextDelta):
            self.texts.append(event.text)
            if event.logprobs is not None:
                self.logprobs = [*(self.logprobs or []), *event.logprobs]
        elif isinstance(event, ReasoningDelta):
            self.reasoning.append(event.text)
        elif isinstance(event, ChoiceFinished):
            self.reason = event.reason
        elif event.id is not None:
            self.calls.append(
                {"id": event.id, "type": "function", "function": {"name": event.name, "arguments": event.arguments}}
            )
        else:
            self.calls[event.call]["function"]["arguments"] += event.arguments

    def as_openai(self, index: int, *, is_legacy: bool) -> dict[str, Any]:
        text = "".join(self.texts)
        # As at OpenAI, content is null beside a call, unless the model also generated text.
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not self.calls else None, "refusal": None}
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls and is_legacy:
            message["function_call"] = self.calls[0]["function"]
        elif self.calls:
            message["tool_calls"] = self.calls
        reason = "function_call" if is_legacy and self.reason == "tool_calls" else self.reason
        logprobs = None if self.logprobs is None else {"content": [_logprob(each) for each in self.logprobs], "refusal": None}
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}


class JsonEncoder:
    """Encodes one `chat.completion`, collected from the same events. No bytes exist before the last event."""

    media_type = JSON
    has_begun = False

    def __init__(self, job: ChatJob, fingerprint: str) -> None:
        self._job = job
        self._envelope = _envelope(job, fingerprint, "chat.completion")
        self._choices = [_Choice() for _ in range(job.sampling.n)]

    def encode(self, step: Step) -> bytes:
        for event in step:
            if isinstance(event, Finished):
                choices = [
                    choice.as_openai(index, is_legacy=self._job.is_legacy_functions) for index, choice in enumerate(self._choices)
                ]
                return orjson.dumps({**self._envelope, "choices": choices, "usage": _usage(event.usage)})
            self._choices[event.index].add(event)
        return b""


def error_event(error: dict[str, dict[str, str | None]]) -> bytes:
    """Encode an error after the stream has begun. OpenAI's SDKs raise on a `data:` event that has `error`. No [DONE] follows."""
    return b"data: " + orjson.dumps(error) + b"\n\n"


def _envelope(job: ChatJob, fingerprint: str, kind: str) -> dict[str, Any]:
    envelope: dict[str, Any] = {
        "id": f"chatcmpl-{job.turn_id}",
        "object": kind,
        "created": job.created,
        "model": job.model,
        "system_fingerprint": fingerprint,
    }
    # There is only one service tier. As at OpenAI, the answer names it if the request names one.
    return envelope | ({"service_tier": "default"} if job.wants_service_tier else {})


def _tool_delta(event: ToolCallDelta, *, is_legacy: bool) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": event.arguments}
    if event.name is not None:
        function = {"name": event.name, **function}
    if is_legacy:
        return {"function_call": function}
    head = {"index": event.call} if event.id is None else {"index": event.call, "id": event.id, "type": "function"}
    return {"tool_calls": [{**head, "function": function}]}


def _logprobs_json(logprobs: tuple[TokenLogprob, ...] | None) -> bytes:
    if logprobs is None:
        return b"null"
    return orjson.dumps({"content": [_logprob(each) for each in logprobs], "refusal": None})


def _logprob(each: TokenLogprob) -> dict[str, Any]:
    one = {"token": each.token, "logprob": each.logprob, "bytes": list(each.token_bytes)}
    return one | {
        "top_logprobs": [{"token": top.token, "logprob": top.logprob, "bytes": list(top.token_bytes)} for top in each.top]
    }


def _json_string(text: str) -> bytes:
    encoded = orjson.dumps(text)
    if text.isascii():
        return encoded
    # These are allowed in JSON and in SSE. But clients that read lines (httpx's iter_lines) split an event at them.
    return encoded.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029").replace(b"\xc2\x85", b"\\u0085")


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
