"""Reading takes time in proportion to the text, whatever the text is: it runs on the event loop."""

import time

import pytest

from service.engine.models.formats import CALLS, THOUGHTS
from service.engine.models.readers.answer import AnswerReader
from tests.engine.models.readers.reading import OFFERED, format_of, read_tokens
from tests.engine.models.readers.writers import WRITERS

SIZE = 20_000
SLOW = 0.9
"""Seconds for so many characters, each a token of its own."""
UNITS = [
    "word ", "<", "{", "[", "(", '"', "'", "\\", " ", "\n", "}", "]", ">", "a", "</", "<|", ", ", '{"name": ', "[f(", "<tool_call>",
    "<tool_call>{", '{"name": "note", "arguments": {"text": "', "<think>", "</think>", "<function=", "<parameter=x>", "<arg_key>",
    "]<]minimax[>[", "<|channel|>", " to=functions.x", "｜", "[TOOL_CALLS]", "{'a': ", "```json", "-1,",
]  # fmt: skip

pytestmark = pytest.mark.alone


def seconds(syntax: str, text: str, *, thoughts: str | None = None, is_in_thought: bool = False) -> float:
    reader = AnswerReader(format_of(syntax, thoughts), OFFERED, is_in_thought=is_in_thought)
    begun = time.perf_counter()
    read_tokens(reader, text)
    return time.perf_counter() - begun


@pytest.mark.parametrize("syntax", CALLS)
def test_a_long_argument(syntax: str) -> None:
    writer = WRITERS[syntax]
    for unit in ("word, ", "\\", "(", "a > b < c\n"):
        text = writer.write([("note", {"text": unit * (SIZE // len(unit))})])
        assert seconds(syntax, text) < SLOW * len(text) / SIZE, unit


@pytest.mark.parametrize("syntax", CALLS)
def test_a_long_answer(syntax: str) -> None:
    for unit in UNITS:
        assert seconds(syntax, unit * (SIZE // len(unit))) < SLOW, unit


@pytest.mark.parametrize("syntax", CALLS)
def test_a_section_that_never_ends(syntax: str) -> None:
    written = WRITERS[syntax].write([("note", {"text": "CUT"})])
    for before in filter(None, (WRITERS[syntax].mark, written[: written.index("CUT")])):
        for unit in UNITS:
            assert seconds(syntax, before + unit * (SIZE // len(unit))) < SLOW, (before, unit)


@pytest.mark.parametrize("row", THOUGHTS)
def test_a_long_thought(row: str) -> None:
    for unit in UNITS:
        assert seconds("hermes", unit * (SIZE // len(unit)), thoughts=row, is_in_thought=True) < SLOW, unit
