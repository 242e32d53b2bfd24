"""Read a streamed answer: record every framing fault, but read past it, so that one fault fails only one check."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from service.check.probe.client import Exchange
from service.check.probe.loose_json import parse

_FIELDS = (b"event", b"id", b"retry")


@dataclass(frozen=True)
class Event:
    """The data of one `data:` line, and the time of its last byte.

    Invalid UTF-8 is replaced: `stream.utf8` reports it.
    """

    data: str
    at: float

    @property
    def is_done(self) -> bool:
        return self.data == "[DONE]"


@dataclass(frozen=True)
class Delta:
    """One choice of one chunk, read leniently."""

    choice: int
    at: float
    role: Any
    text: str
    calls_tool: bool
    finish_reason: Any

    @property
    def is_content(self) -> bool:
        """Whether it has text or a tool call. The role alone is not content."""
        return bool(self.text) or self.calls_tool


class Stream:
    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.faults: list[str] = []
        """Framing faults, in the order of the lines."""
        self.events = list(self._read())

    def _read(self) -> Iterator[Event]:
        """Yield one event for each `data:` line, with or without a blank line after it."""
        arrivals = _Arrivals(self.exchange)
        offset, is_open = 0, False
        for number, line in enumerate(self.exchange.body.splitlines(keepends=True), start=1):
            offset += len(line)
            text = line.rstrip(b"\r\n")
            name, colon, value = text.partition(b":")
            if not text:
                is_open = False
            elif name == b"data" and colon:
                if is_open:
                    self.faults.append(f"no blank line before line {number}")
                is_open = True
                yield Event(value.removeprefix(b" ").decode(errors="replace"), arrivals.at(offset))
            elif name and not (colon and name in _FIELDS):
                self.faults.append(f"line {number} is not a field of server-sent events")
        if is_open:
            self.faults.append("no blank line after the last event")

    @cached_property
    def payloads(self) -> list[Event]:
        return [event for event in self.events if not event.is_done]

    @cached_property
    def chunks(self) -> list[tuple[float, dict[str, Any]]]:
        """The payloads that are JSON objects, with their times."""
        return [(event.at, value) for event in self.payloads if isinstance(value := parse(event.data), dict)]

    @cached_property
    def deltas(self) -> list[Delta]:
        return [delta for at, chunk in self.chunks for delta in _deltas(at, chunk)]

    @property
    def contents(self) -> list[Delta]:
        return [delta for delta in self.deltas if delta.is_content]

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas if delta.choice == 0)

    @property
    def ttft_s(self) -> float | None:
        """Seconds from the request to the first content. None without content."""
        return self.contents[0].at - self.exchange.sent_at if self.contents else None


class _Arrivals:
    """The time at which a body had reached a number of bytes. Call `at` with rising offsets only."""

    def __init__(self, exchange: Exchange) -> None:
        lengths = accumulate(len(piece) for _, piece in exchange.pieces)
        self._ends = list(zip(lengths, [at for at, _ in exchange.pieces], strict=True))
        self._position = 0

    def at(self, offset: int) -> float:
        while self._ends[self._position][0] < offset:
            self._position += 1
        return self._ends[self._position][1]


def _deltas(at: float, chunk: dict[str, Any]) -> Iterator[Delta]:
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        given = choice.get("delta")
        delta = given if isinstance(given, dict) else {}
        text, index = delta.get("content"), choice.get("index")
        yield Delta(
            choice=index if isinstance(index, int) else 0,
            at=at,
            role=delta.get("role"),
            text=text if isinstance(text, str) else "",
            calls_tool=bool(delta.get("tool_calls") or delta.get("function_call")),
            finish_reason=choice.get("finish_reason"),
        )
