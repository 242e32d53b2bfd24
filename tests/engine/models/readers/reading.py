"""Reads an answer that was cut into tokens, and gathers what it consists of."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from service.engine.models.formats import CALLS, answer_format
from service.engine.models.readers.answer import AnswerReader
from service.engine.models.readers.format import AnswerFormat
from service.engine.models.readers.parts import Call, Content, Dropped, End, Offered, Part, Thought
from tests.engine.models.families import SCHEMAS

OFFERED = Offered(SCHEMAS)
Token = tuple[str, bool]
"""Text, and whether it is a special token."""


@dataclass(frozen=True)
class Heard:
    """What a caller gets of an answer. Calls are name, JSON text and whether they were cut."""

    content: str = ""
    thought: str = ""
    calls: tuple[tuple[str, str, bool], ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[tuple[str, Any]]:
        """Names and arguments of the calls that are whole. Raises where these are no strict JSON objects."""
        return [(name, strict_object(text)) for name, text, is_cut in self.calls if not is_cut]


def strict_object(text: str) -> dict[str, Any]:
    """The object of a JSON text. Python also reads NaN and half characters, which RFC 8259 has not."""
    text.encode()
    value = json.loads(text, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))
    assert isinstance(value, dict)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def format_of(syntax: str, thoughts: str | None = None) -> AnswerFormat:
    return answer_format([CALLS[syntax]], thoughts)


def read_tokens(reader: AnswerReader, tokens: Iterable[Token | str], end: End = "stop") -> Heard:
    """Read these tokens. Those without a word on it are not special."""
    parts: list[Part] = []
    for token in tokens:
        text, is_special = token if isinstance(token, tuple) else (token, False)
        parts += reader.read(text, is_special=is_special)
    return gathered([*parts, *reader.finish(end)])


def read(
    syntax: str,
    tokens: str | Sequence[Token | str],
    *,
    thoughts: str | None = None,
    offered: Offered = OFFERED,
    end: End = "stop",
    **options: Any,
) -> Heard:
    """Read an answer in this syntax. A text is read a character at a time, and must give the same at once."""
    heard = read_tokens(AnswerReader(format_of(syntax, thoughts), offered, **options), tokens, end)
    if isinstance(tokens, str):
        assert heard == read_tokens(AnswerReader(format_of(syntax, thoughts), offered, **options), [tokens], end)
    return heard


def gathered(parts: Sequence[Part]) -> Heard:
    return Heard(
        "".join(part.text for part in parts if isinstance(part, Content)),
        "".join(part.text for part in parts if isinstance(part, Thought)),
        tuple((part.name, part.arguments, part.is_cut) for part in parts if isinstance(part, Call)),
        tuple(part.reason.value for part in parts if isinstance(part, Dropped)),
    )
