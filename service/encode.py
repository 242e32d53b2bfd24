"""Events -> bytes: server-sent events, or one JSON body. The rest of an envelope is encoded once a turn, so that a
streamed token costs one JSON string and one concatenation.
"""

from typing import Protocol

import orjson

from service.domain import ChatJob, ChoiceFinished, Event, Finished, Step, TextDelta, Usage

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"
DONE = b"data: [DONE]\n\n"


class Encoder(Protocol):
    media_type: str

    @property
    def has_begun(self) -> bool:
        """Something has left: an error can no longer have a status."""
        ...

    def encode(self, step: Step) -> bytes:
        """What can leave now; empty where nothing can."""
        ...


def encoder_for(job: ChatJob) -> Encoder:
    return SseEncoder(job) if job.is_stream else JsonEncoder(job)


class SseEncoder:
    """`chat.completion.chunk` events. The role goes in the same bytes as a choice's first text: sent alone and earlier it
    would pass for a first token (`vllm bench serve` stamps TTFT on it).
    """

    media_type = EVENT_STREAM

    def __init__(self, job: ChatJob) -> None:
        head = orjson.dumps(
            {"id": f"chatcmpl-{job.turn_id}", "object": "chat.completion.chunk", "created": job.created, "model": job.model}
        )
        self._head = b"data: " + head[:-1] + b',"choices":['
        # With usage asked for, OpenAI's chunks all have the field, null until the last.
        self._tail = b'],"usage":null}\n\n' if job.include_usage else b"]}\n\n"
        self._include_usage = job.include_usage
        self._roles_sent: set[int] = set()

    @property
    def has_begun(self) -> bool:
        return bool(self._roles_sent)

    def encode(self, step: Step) -> bytes:
        return b"".join([self._frame(event) for event in step])

    def _frame(self, event: Event) -> bytes:
        if isinstance(event, TextDelta):
            delta = b'{"content":' + _json_string(event.text) + b"}"
            return self._role(event.index) + self._choice(event.index, delta, b"null")
        if isinstance(event, ChoiceFinished):
            return self._role(event.index) + self._choice(event.index, b"{}", b'"%s"' % event.reason.encode())
        return self._end(event)

    def _role(self, index: int) -> bytes:
        if index in self._roles_sent:
            return b""
        self._roles_sent.add(index)
        return self._choice(index, b'{"role":"assistant","content":""}', b"null")

    def _choice(self, index: int, delta: bytes, finish_reason: bytes) -> bytes:
        return b"%b{\"index\":%d,\"delta\":%b,\"logprobs\":null,\"finish_reason\":%b}%b" % (
            self._head, index, delta, finish_reason, self._tail,
        )  # fmt: skip

    def _end(self, event: Finished) -> bytes:
        if not self._include_usage:
            return DONE
        return self._head + b'],"usage":' + orjson.dumps(_usage(event.usage)) + b"}\n\n" + DONE


class JsonEncoder:
    """One `chat.completion`, collected from the same events; nothing leaves before the last."""

    media_type = JSON
    has_begun = False

    def __init__(self, job: ChatJob) -> None:
        self._job = job
        self._texts: list[list[str]] = [[] for _ in range(job.sampling.n)]
        self._reasons: list[str | None] = [None] * job.sampling.n

    def encode(self, step: Step) -> bytes:
        for event in step:
            if isinstance(event, TextDelta):
                self._texts[event.index].append(event.text)
            elif isinstance(event, ChoiceFinished):
                self._reasons[event.index] = event.reason
            else:
                return orjson.dumps(self._completion(event))
        return b""

    def _completion(self, end: Finished) -> dict[str, object]:
        return {
            "id": f"chatcmpl-{self._job.turn_id}",
            "object": "chat.completion",
            "created": self._job.created,
            "model": self._job.model,
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": "".join(texts), "refusal": None},
                    "logprobs": None,
                    "finish_reason": reason,
                }
                for index, (texts, reason) in enumerate(zip(self._texts, self._reasons, strict=True))
            ],
            "usage": _usage(end.usage),
        }


def _json_string(text: str) -> bytes:
    encoded = orjson.dumps(text)
    if text.isascii():
        return encoded
    # Allowed in JSON and in SSE, but clients that read lines (httpx's iter_lines) break them here.
    return encoded.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029").replace(b"\xc2\x85", b"\\u0085")


def error_event(error: dict[str, dict[str, str | None]]) -> bytes:
    """An error after the stream has begun. OpenAI's SDKs raise on a `data:` event that holds `error`; no [DONE] follows."""
    return b"data: " + orjson.dumps(error) + b"\n\n"


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
