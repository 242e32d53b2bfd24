"""Endpoints with one fault in their streams."""

import time
from collections.abc import Iterable
from typing import Any

from tests.check.broken import breaks
from tests.check.good_server import GoodHandler, Json


@breaks("stream.content-type", "fail")
class StreamsAsJson(GoodHandler):
    stream_type = "application/json"


@breaks("stream.framing", "fail")
class ForgetsBlankLines(GoodHandler):
    def frames(self, chunks: list[Json]) -> list[bytes]:
        return [frame[:-1] for frame in super().frames(chunks)]


@breaks("stream.framing", "fail")
class LogsIntoTheStream(GoodHandler):
    def frames(self, chunks: list[Json]) -> list[bytes]:
        first, *rest = super().frames(chunks)
        return [first, b"INFO: 1 turn running\n\n", *rest]


@breaks("stream.utf8", "fail", {"stream.same-text": "warn"})
class StreamsLatin1(GoodHandler):
    def frames(self, chunks: list[Json]) -> list[bytes]:
        return [frame.replace("ö".encode(), "ö".encode("latin-1")) for frame in super().frames(chunks)]


@breaks("stream.utf8", "warn", {"stream.same-text": "warn"})
class CutsCharacters(GoodHandler):
    def chunk(self, delta: Json, finish_reason: str | None) -> Json:
        text = delta.get("content", "").replace("ü", "\ufffd\ufffd")
        return super().chunk({**delta, "content": text} if text else delta, finish_reason)


@breaks("stream.chunks", "fail")
class NamesChunksWrong(GoodHandler):
    def chunk(self, delta: Json, finish_reason: str | None) -> Json:
        return super().chunk(delta, finish_reason) | {"object": "chat.completion"}


@breaks("stream.chunks", "fail", {"stream.finish": "fail"})
class BreaksMidway(GoodHandler):
    def chunks(self, request: Json) -> list[Json]:
        chunks = super().chunks(request)
        if request.get("max_tokens") != 32 or request.get("stream_options"):
            return chunks
        return [chunk for chunk in chunks if not _reason(chunk)] + [{"error": {"message": "out of memory"}}]


@breaks("stream.identity", "fail")
class MakesAnIdEachChunk(GoodHandler):
    def chunk(self, delta: Json, finish_reason: str | None) -> Json:
        return super().chunk(delta, finish_reason) | {"id": f"chatcmpl-{time.monotonic_ns()}"}


@breaks("stream.role", "fail")
class NamesNoRole(GoodHandler):
    def chunk(self, delta: Json, finish_reason: str | None) -> Json:
        return super().chunk({name: value for name, value in delta.items() if name != "role"}, finish_reason)


@breaks("stream.finish", "fail")
class NeverFinishes(GoodHandler):
    def chunk(self, delta: Json, finish_reason: str | None) -> Json:
        return super().chunk(delta, None)


@breaks("stream.finish", "fail")
class FinishesTwice(GoodHandler):
    def chunks(self, request: Json) -> list[Json]:
        chunks = super().chunks(request)
        last = next(chunk for chunk in chunks if _reason(chunk))
        return [chunks[0], last, *chunks[1:]]


@breaks("stream.done", "fail")
class NeverDone(GoodHandler):
    def frames(self, chunks: list[Json]) -> list[bytes]:
        return super().frames(chunks)[:-1]


@breaks("stream.done", "fail")
class DoneTooEarly(GoodHandler):
    def frames(self, chunks: list[Json]) -> list[bytes]:
        *frames, last, done = super().frames(chunks)
        return [*frames, done, last]


@breaks("stream.done", "fail", {"connection.keep-alive": "skipped"})
class LeavesTheBodyOpen(GoodHandler):
    ends_body = False


@breaks("stream.usage", "fail")
class TellsNoUsage(GoodHandler):
    def chunks(self, request: Json) -> list[Json]:
        return super().chunks({**request, "stream_options": None})


@breaks("stream.same-text", "warn")
class LosesAWord(GoodHandler):
    def chunks(self, request: Json) -> list[Json]:
        chunks = super().chunks(request)
        return [*chunks[:3], *chunks[4:]]


@breaks("stream.incremental", "fail")
class Buffers(GoodHandler):
    """Like a proxy that collects the whole answer."""

    pause_s = 0.0

    def send_stream(self, frames: Iterable[bytes], request: Json) -> None:
        time.sleep(0.12)
        super().send_stream([b"".join(frames)], request)


@breaks("stream.incremental", "fail")
class SaysAllInOneDelta(GoodHandler):
    def chunks(self, request: Json) -> list[Json]:
        first, *rest = super().chunks(request)
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in rest if chunk["choices"])
        return [first, self.chunk({"content": text}, None), *(chunk for chunk in rest if _reason(chunk) or not chunk["choices"])]


def _reason(chunk: Json) -> Any:
    return chunk["choices"][0]["finish_reason"] if chunk.get("choices") else None
