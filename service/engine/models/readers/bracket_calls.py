"""Tool calls whose arguments are one bracketed value: JSON, a Python call, or Gemma's form. Most families write such calls."""

from dataclasses import dataclass
from typing import Any

import regex

from service.engine.models.readers.brackets import BracketScanner, ValueParser, cut_arguments
from service.engine.models.readers.json_calls import cut_call, has_arguments, named
from service.engine.models.readers.json_text import load_object, read_object
from service.engine.models.readers.parts import End, Offered
from service.engine.models.readers.section import MAX_HEADER, Found, RawCall, SteppedSection

_LIST = regex.compile(r"(?:\[\s{0,99}+){0,2}+")


@dataclass(frozen=True)
class BracketCalls:
    """Calls as `header value`, or as one JSON object of name and arguments where there is no header.

    `opens`, `bare_opens`, `header` and `junk` are regular expressions. All other attributes are literal.
    """

    opens: str = ""
    bare_opens: str = ""
    closes: tuple[str, ...] = ()
    """Marks that end a section, or a call within it. They also end a value whose brackets were left open."""
    ends: tuple[str, ...] | None = None
    """Those of `closes` that end the section. None means all."""
    header: str = ""
    """Matches all that stands before the arguments. Group `name` is the function's, group `id` the call's own ID."""
    is_object_allowed: bool = True
    """Whether a call can also be a JSON object of name and arguments, without a header."""
    junk: str = ""
    """What can stand between two calls beside white space and list brackets."""
    quotes: tuple[str, ...] = ('"', "'")
    brackets: str = "{"
    """What the arguments begin with, each a single character."""
    parse: ValueParser = load_object
    parse_cut: ValueParser = read_object
    """The same for a value that was cut: it mends nothing."""
    only: str = ""
    """The function's name, if the section is only the arguments of one call. A constraint can make it so."""

    @property
    def endings(self) -> str:
        return "|".join(map(regex.escape, self.closes))

    @property
    def noise(self) -> str:
        return "|".join(regex.escape(mark) for mark in self.closes if mark[0] == "<")

    def reader(self, mark: str, offered: Offered, *, is_bare: bool) -> "_BracketSection":
        return _BracketSection(self, mark, offered, is_bare=is_bare)


class _BracketSection(SteppedSection):
    def __init__(self, syntax: BracketCalls, mark: str, offered: Offered, *, is_bare: bool) -> None:
        self._syntax, self._offered, self._is_bare = syntax, offered, is_bare
        # The mark that began this section would begin another one.
        marks = sorted({*syntax.closes, "" if is_bare else mark.strip()} - {""}, key=len, reverse=True)
        self._scanner = BracketScanner(marks, quotes=syntax.quotes)
        self._marks = regex.compile("|".join(map(regex.escape, marks)) or "(?!)")
        self._header_and_junk = [regex.compile(pattern or "(?!)", regex.DOTALL) for pattern in (syntax.header, syntax.junk)]
        self._header: dict[str, str | None] | None = None
        self._has_call = False
        self._step = self._between

    def _between(self, text: str, end: End | None, found: Found) -> bool:
        """Before a call, or after one. Returns whether reading can go on."""
        mark = self._skip_to_mark(text, end, found)
        if mark is not None:
            return not mark.partial and self._end(mark, found)
        at = _LIST.match(text, found.consumed).end()
        if at == len(text):
            return False
        header, junk = (pattern.match(text, at, partial=end != "stop") for pattern in self._header_and_junk)
        for match in (header, junk):
            if match is not None and match.partial and len(text) - at <= MAX_HEADER:
                return False
            if match is not None and not match.partial:
                found.consumed = match.end()
                if match is header:
                    self._header, self._step = match.groupdict(), self._before_value
                return True
        if text[at] == "{" and self._syntax.is_object_allowed:
            found.consumed = at
            self._begin_value()
            return True
        found.state = "over" if self._has_call else "text" if self._is_bare else "lost"
        return True

    def _skip_to_mark(self, text: str, end: End | None, found: Found) -> Any:
        """Skip white space and separators. Returns the mark behind them, which can be incomplete, or None."""
        while found.consumed < len(text):
            mark = self._marks.match(text, found.consumed, partial=end != "stop")
            char = text[found.consumed]
            if mark is not None or not (char.isspace() or char in ",;]})"):
                return mark
            found.consumed += 1
        return None

    def _end(self, mark: Any, found: Found) -> bool:
        closes, ends = self._syntax.closes, self._syntax.ends
        if mark[0] not in closes and not self._has_call:  # The opening mark was doubled.
            found.consumed = mark.end()
            return True
        is_end = mark[0] in (closes if ends is None else ends)
        if is_end or mark[0] not in closes:
            found.state = "over" if self._has_call else "lost"
        if mark[0] in closes and found.state != "lost":
            found.consumed = mark.end()
        return True

    def _before_value(self, text: str, end: End | None, found: Found) -> bool:
        """After a header. A call without arguments has only the header."""
        at = found.consumed = len(text) - len(text[found.consumed :].lstrip())
        if text[at : at + 1] in {*self._syntax.brackets}:
            self._begin_value()
            return True
        mark = self._marks.match(text, at, partial=end != "stop")
        if at < len(text) and mark is None:
            found.state = "lost"
        elif end is None and (mark is None or mark.partial):
            return False
        else:
            self._call(found, {}, at, prefix="" if end == "length" and (mark is None or mark.partial) else None)
        return True

    def _begin_value(self) -> None:
        self._step = self._value
        self._scanner.reset()

    def _value(self, text: str, end: End | None, found: Found) -> bool:
        """Inside a call's arguments, or inside the object that is the call. `found.consumed` is its beginning."""
        value, parse = text[found.consumed :], self._syntax.parse
        length = self._scanner.end(value)
        if length is None and end is None:
            return False
        if length is None and end == "stop" and (place := self._scanner.mark_in_string) is not None and parse(value[:place]):
            length = place  # A string that was never closed hid the closing mark.
        if length is not None or end == "stop":
            self._complete(found, value[:length])
        elif self._header is not None or self._syntax.only:
            self._call(found, None, len(text), prefix=cut_arguments(value, self._syntax.parse_cut, self._syntax.quotes))
        elif (cut := cut_call(value)) is not None:
            self._call(found, None, len(text), name=cut[0], prefix=cut[1])
        else:
            return False
        return True

    def _complete(self, found: Found, value: str) -> None:
        arguments = self._syntax.parse(value)
        name, is_certain = None, bool(arguments)
        if self._header is None and not self._syntax.only:
            # An answer in JSON can be an object that has a name, and no arguments under a key of their own.
            is_certain = arguments is not None and has_arguments(arguments)
            name, arguments = named(arguments) if arguments is not None else ("", None)
        end = found.consumed + len(value)
        self._call(found, arguments, end, name=name, is_certain=is_certain and bool(arguments))

    def _call(
        self,
        found: Found,
        arguments: dict[str, Any] | None,
        end: int,
        *,
        name: str | None = None,
        prefix: str | None = None,
        is_certain: bool = False,
    ) -> None:
        """Give a call. Without a mark, text that is not certainly a call must name an offered function."""
        header = self._header or {}
        name = name if name is not None else self._syntax.only or header.get("name") or header.get("name2") or ""
        is_call = is_certain or prefix is not None or self._offered.resolve(name) is not None
        if self._is_bare and not self._has_call and not is_call:
            found.state = "text"
            return
        found.calls.append(RawCall(name, arguments, id=header.get("id"), prefix=prefix))
        found.consumed = end
        self._header, self._has_call, self._step = None, True, self._between


FORCED_LIST = BracketCalls(bare_opens=r"(?=(?:\[\s{0,99})?\{)")
"""What a constraint holds a forced call to, where vLLM has no grammar for the model's own syntax: a JSON list of calls."""
