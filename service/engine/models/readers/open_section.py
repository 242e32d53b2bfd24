"""The section of tool calls that an answer is in: gives its calls, or finds that it was none."""

from dataclasses import dataclass, field
from typing import Any, Literal

from service.engine.models.readers.json_text import dump_object
from service.engine.models.readers.parts import Call, Drop, Dropped, End, Offered, Part
from service.engine.models.readers.section import RawCall, SectionReader

_LONGEST_STRAY = 300
"""Longest text between a mark and its closing mark that makes a malformed call, in characters. With more, the mark is text."""
_LONGEST_MARK = 100


class CallFilter:
    """Passes on the calls of one answer that the turn offers."""

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        self._calls = 0

    def take(self, call: RawCall) -> Call | Dropped | None:
        """Return the call, or that it is dropped. None for one above the maximum, and for one that was cut and not offered."""
        name = self._offered.resolve(call.name)
        if name is None and call.prefix is not None:
            return None
        if name is None:
            return Dropped(Drop.UNKNOWN_FUNCTION if call.name else Drop.MALFORMED)
        arguments = call.prefix
        if arguments is None:
            arguments = dump_object(call.arguments) if call.arguments is not None else None
        if arguments is None:
            return Dropped(Drop.MALFORMED)
        if self._offered.max_calls is not None and self._calls >= self._offered.max_calls:
            return None
        self._calls += 1
        return Call(name, arguments, call.id, is_cut=call.prefix is not None)


@dataclass(slots=True)
class Progress:
    """What became of a section with the text so far."""

    state: Literal["more", "over", "text"] = "more"
    """`more`: it goes on. `over`: the rest is content. `text`: it was no section of calls."""
    consumed: int = 0
    parts: list[Part] = field(default_factory=list)


class OpenSection:
    """Reads one section of calls."""

    def __init__(
        self, reader: SectionReader, calls: CallFilter, mark: str, after_stray: Any, *, is_in_thought: bool, is_certain: bool
    ) -> None:
        """`after_stray`: pattern of what ends text that is no call. `is_certain`: the mark cannot be ordinary text."""
        self._reader, self._calls, self._after_stray = reader, calls, after_stray
        self._is_certain = is_certain
        self._has_call = self._is_stray = False
        self.is_in_thought = is_in_thought
        self.mark = mark
        self.text = ""
        """What was read after the mark. It is read again if this turns out to be no section of calls."""

    def read(self, text: str, end: End | None) -> Progress:
        """Read on. `text` begins after what was consumed. `end` is set when no text will follow."""
        progress = Progress()
        if not self._is_stray:
            self._read_calls(text, end, progress)
        if self._is_stray:
            self._read_stray(text, end, progress)
        if progress.state != "over" and not self._has_call:
            self.text += text[: progress.consumed]
        return progress

    def _read_calls(self, text: str, end: End | None, progress: Progress) -> None:
        found = self._reader.read(text, end)
        progress.consumed = found.consumed
        for call in found.calls:
            self._take(call, progress)
        if found.state == "more" and end is None:
            return
        if found.state == "more" and (end == "length" or self._has_call):
            # The beginning of a call, of which there is nothing to give.
            progress.state, progress.consumed = "over", len(text)
        elif self._has_call and found.state != "lost":
            progress.state = "over"
        elif found.state == "text" or (self.is_in_thought and not self._has_call):
            progress.state = "text"
        else:
            self._is_stray = True

    def _take(self, call: RawCall, progress: Progress) -> None:
        part = self._calls.take(call)
        # In a thought, a call that cannot be passed on shows that the model only thinks of calls.
        if not isinstance(part, Dropped) or not self.is_in_thought or self._has_call:
            self._has_call = True
            progress.parts += [part] if part is not None else []

    def _read_stray(self, text: str, end: End | None, progress: Progress) -> None:
        """After a mark that begins no call: find out whether it is a malformed call, or the mark was only mentioned."""
        is_certain = self._is_certain or self._has_call
        # A section that began without a mark must not begin at the same place again.
        at = progress.consumed = max(progress.consumed, 0 if self.mark or self.text else 1)
        match = self._after_stray.search(text, at)
        if match is not None and (is_certain or match.start() - at <= _LONGEST_STRAY):
            is_ending = match.lastgroup == "ending"
            if is_ending or is_certain:
                progress.state, progress.consumed = "over", match.end() if is_ending else match.start()
                progress.parts.append(Dropped(Drop.MALFORMED))
            else:
                progress.state = "text"
        elif end is None and (is_certain or len(text) - at <= _LONGEST_STRAY + _LONGEST_MARK):
            progress.consumed = max(at, len(text) - _LONGEST_MARK) if is_certain else at
        elif is_certain:
            progress.state, progress.consumed = "over", len(text)
            progress.parts += [Dropped(Drop.MALFORMED)] if end != "length" else []
        else:
            progress.state = "text"
