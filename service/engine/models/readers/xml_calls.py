"""Tool calls whose arguments are tags: `<parameter=city>Paris</parameter>`. The values get the types of the schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import regex

from service.engine.models.readers.json_text import dump_object, load_object
from service.engine.models.readers.parts import End, Offered
from service.engine.models.readers.section import MAX_HEADER, Found, RawCall, SteppedSection
from service.engine.models.readers.typed_values import is_text, nested_value, typed


@dataclass(frozen=True)
class XmlCalls:
    """Calls with one tag for each argument. Attributes are regular expressions."""

    opens: str
    call: str
    """What begins a call. Group `name` is the function's."""
    parameter: str
    """What begins an argument's value. Group `key` is its name. Group `string`, if there is one, is `true` for a string."""
    parameter_end: str
    call_end: str
    section_end: str = ""
    """Empty if the section is one call."""
    bare_opens: str = ""
    is_framed: bool = False
    """Whether a line break stands on each side of a value."""
    nested: str = ""
    """What stands before each tag, if objects and lists are written as tags too. Then `{key}` in `parameter_end` is the name."""

    @cached_property
    def patterns(self) -> "_Patterns":
        return _Patterns(self)

    @property
    def endings(self) -> str:
        return "|".join(filter(None, (self.section_end, self.call_end)))

    @property
    def noise(self) -> str:
        return self.section_end or self.call_end

    def reader(self, mark: str, offered: Offered, *, is_bare: bool) -> "_XmlSection":
        return _XmlSection(self, offered)


class _Patterns:
    def __init__(self, syntax: XmlCalls) -> None:
        def compiled(pattern: str) -> Any:
            return regex.compile(pattern or "(?!)", regex.DOTALL)

        parameter, call_end, section_end = map(_unnamed, (syntax.parameter, syntax.call_end, syntax.section_end or "(?!)"))
        self.call = compiled(syntax.call)
        self.section_end = compiled(syntax.section_end)
        self.tag = compiled(
            rf"(?P<parameter>{syntax.parameter})|(?P<call_end>{call_end})|(?P<other>{section_end}|{_unnamed(syntax.opens)})"
        )
        # A value can hold the text of an end mark. The real one stands before the next parameter or the end of the call.
        follows = rf"(?:{parameter}|{call_end}|{section_end}|{_unnamed(syntax.opens)})"
        # Where it was left out, the next parameter ends the value, or the end of call and section.
        lost = rf"|(?={parameter}|(?:{call_end})\s{{0,99}}(?:{section_end}))" if not syntax.nested else ""
        self._value_end = rf"(?:{syntax.parameter_end})(?=\s{{0,99}}{follows}){lost}"
        # At the end of the answer, any mark can be the end of the value.
        self.last_end = compiled(rf"(?:{syntax.parameter_end.replace('{key}', '[^>]+')})|(?={follows})")
        self.value_of = nested_value(syntax.nested) if syntax.nested else typed

    def value_end(self, key: str) -> Any:
        return regex.compile(self._value_end.replace("{key}", regex.escape(key)), regex.DOTALL)


def _unnamed(pattern: str) -> str:
    return str(regex.sub(r"\(\?P<\w+>", "(?:", pattern))


class _XmlSection(SteppedSection):
    def __init__(self, syntax: XmlCalls, offered: Offered) -> None:
        self._patterns, self._offered = syntax.patterns, offered
        self._is_one_call, self._is_framed = not syntax.section_end, syntax.is_framed
        self._name = ""
        self._values: dict[str, tuple[str, str | None]] = {}
        self._stray = ""
        self._key: tuple[str, str | None] = "", None
        self._value_end: Any = None
        self._searched = 0
        self._has_call = False
        self._step = self._between

    def _between(self, text: str, end: End | None, found: Found) -> bool:
        """Before a call, or after one. Returns whether reading can go on."""
        patterns = self._patterns
        at = found.consumed = len(text) - len(text[found.consumed :].lstrip())
        if at == len(text):
            return False
        call, section_end = (pattern.match(text, at, partial=end != "stop") for pattern in (patterns.call, patterns.section_end))
        if call is not None and not call.partial:
            found.consumed = call.end()
            self._begin(call["name"])
        elif section_end is not None and not section_end.partial:
            found.consumed = section_end.end() if self._has_call else at
            found.state = "over" if self._has_call else "lost"
        elif (call is not None or section_end is not None) and len(text) - at <= MAX_HEADER:
            return False
        elif end == "stop" and not self._has_call and self._offered.resolve(text[at:]) is not None:
            self._begin(text[at:])  # Only a name, and no closing mark.
            found.consumed = len(text)
        else:
            found.state = "over" if self._has_call else "lost"
        return True

    def _begin(self, name: str) -> None:
        self._name, self._values, self._stray, self._step = name.strip(), {}, "", self._within_call

    def _within_call(self, text: str, end: End | None, found: Found) -> bool:
        tag = self._patterns.tag.search(text, found.consumed, partial=end != "stop")
        at = tag.start() if tag is not None else len(text)
        self._stray += text[found.consumed : at]
        found.consumed = at
        if (tag is None or tag.partial) and end is None:
            return False
        if (tag is None or tag.partial) and end == "length":
            found.consumed = len(text)
            self._call(found, prefix=self._prefix(None))
        elif tag is not None and tag["parameter"] is not None:
            found.consumed = tag.end()
            self._key = tag["key"].strip(), tag.groupdict().get("string")
            self._value_end, self._searched, self._step = self._patterns.value_end(self._key[0]), 0, self._value
        else:
            if tag is not None and tag["call_end"] is not None:  # Otherwise it was left out.
                found.consumed = tag.end()
            self._call(found)
        return True

    def _value(self, text: str, end: End | None, found: Found) -> bool:
        at = found.consumed
        ending = self._value_end.search(text, at + self._searched, partial=end != "stop")
        if end is None and (ending is None or ending.partial):
            self._searched = (len(text) if ending is None else ending.start()) - at
            return False
        if end == "length" and (ending is None or ending.partial):
            found.consumed = len(text)
            self._call(found, prefix=self._prefix(text[at : None if ending is None else ending.start()]))
            return True
        if ending is None:
            ending = self._patterns.last_end.search(text, at)
        value = text[at:] if ending is None else text[at : ending.start()]
        self._values[self._key[0]] = _unframed(value), self._key[1]
        found.consumed = len(text) if ending is None else ending.end()
        self._step = self._within_call
        return True

    def _call(self, found: Found, *, prefix: str | None = None) -> None:
        if not self._values and prefix is None and self._stray.strip():  # JSON in place of tags.
            self._values = {key: (_text(item), None) for key, item in (load_object(self._stray) or {}).items()}
        found.calls.append(RawCall(self._name, self._arguments(), prefix=prefix))
        self._has_call, self._step = True, self._between
        if self._is_one_call or prefix is not None:
            found.state = "over"

    def _schemas(self) -> Mapping[str, Any]:
        name = self._offered.resolve(self._name)
        properties = self._offered.functions[name].get("properties") if name is not None else None
        return properties if isinstance(properties, Mapping) else {}

    def _arguments(self) -> dict[str, Any]:
        schemas, value_of = self._schemas(), self._patterns.value_of
        return {key: value_of(text, schemas.get(key), string) for key, (text, string) in self._values.items()}

    def _prefix(self, value: str | None) -> str:
        """The beginning of the arguments' JSON text, where the token limit ended the call, maybe inside a value."""
        whole = (dump_object(self._arguments()) or "{}")[:-1]
        key, string = self._key
        if value is None or not is_text(self._schemas().get(key), string):
            return whole if self._values else ""
        beginning = _beginning(value.removeprefix("\n") if self._is_framed else value)
        return whole + (", " if self._values else "") + (dump_object({key: beginning}) or "{}")[1:-2]


_CDATA = "<![CDATA["


def _beginning(value: str) -> str:
    """Return what is certain of a value that was cut."""
    if value.startswith(_CDATA):
        return value.removeprefix(_CDATA).removesuffix(">").rstrip("]")
    return "" if _CDATA.startswith(value) else value.removesuffix("\n")


def _unframed(value: str) -> str:
    """Return a value without the line breaks beside its tags, if there are two, or without its CDATA frame."""
    if value.startswith(_CDATA) and value.endswith("]]>"):
        return value[len(_CDATA) : -len("]]>")]
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == "\n" else value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(dump_object({"": value}))[5:-1]
