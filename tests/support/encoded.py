"""Steps through an encoder, and back as a client reads them."""

from typing import Any

from service.domain import Step, Usage
from service.schema.response import ChatCompletion, ChatCompletionChunk
from service.streaming.encode import JsonEncoder, SseEncoder
from tests.support.factories import FINGERPRINT, make_job

USAGE = Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=4, reasoning_tokens=2)
USAGE_ON_WIRE = {
    "prompt_tokens": 9,
    "completion_tokens": 3,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def read_events(stream: bytes) -> list[str]:
    """The data of each event, by the WHATWG rules: a line ends at \\n, \\r or \\r\\n and nowhere else."""
    text = stream.decode().replace("\r\n", "\n").replace("\r", "\n")
    assert text.endswith("\n\n")
    lines = [block.split("\n") for block in text.removesuffix("\n\n").split("\n\n")]
    assert all(len(block) == 1 and block[0].startswith("data: ") for block in lines)
    return [block[0].removeprefix("data: ") for block in lines]


def stream_of(steps: list[Step], **job: Any) -> bytes:
    encoder = SseEncoder(make_job(**job), FINGERPRINT)
    return b"".join(encoder.encode(step) for step in steps)


def chunks_of(steps: list[Step], **job: Any) -> list[ChatCompletionChunk]:
    """The chunks of a whole stream, which must end in its only [DONE]."""
    *chunks, done = read_events(stream_of(steps, **job))
    assert done == "[DONE]"
    return [ChatCompletionChunk.model_validate_json(chunk) for chunk in chunks]


def text_of(chunks: list[ChatCompletionChunk], index: int = 0) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices if choice.index == index)


def answer_of(steps: list[Step], **job: Any) -> ChatCompletion:
    encoder = JsonEncoder(make_job(is_stream=False, **job), FINGERPRINT)
    *early, last = [encoder.encode(step) for step in steps]
    assert not any(early)
    return ChatCompletion.model_validate_json(last)
