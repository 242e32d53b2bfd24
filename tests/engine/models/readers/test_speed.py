"""Reading takes time in proportion to the text, whatever the text is: it runs on the event loop."""

import time

import pytest

from service.engine.models.formats import CALLS, THOUGHTS
from service.engine.models.readers.answer import AnswerReader
from tests.engine.models.readers.reading import OFFERED, format_of, read_tokens
from tests.engine.models.readers.writers import WRITERS

SIZE = 20_000
SLOW = 6.0
"""Seconds for so many characters. It takes 0.1 to 0.2 s; where the time grows with the square of the length, over 10 s."""
UNITS = [
    " ", "\n", "<", "{", '"', "'", "\\", "}", '{"name": ', "[f(", "<tool_call>{", "<function=", "<|channel|>", "<parameter=x>",
]  # fmt: skip

pytestmark = pytest.mark.alone


def seconds(syntax: str, text: str, *, token: int = 5, thoughts: str | None = None, is_in_thought: bool = False) -> float:
    reader = AnswerReader(format_of(syntax, thoughts), OFFERED, is_in_thought=is_in_thought)
    begun = time.perf_counter()
    read_tokens(reader, [text[at : at + token] for at in range(0, len(text), token)])
    return time.perf_counter() - begun


@pytest.mark.parametrize("syntax", CALLS)
def test_a_long_argument(syntax: str) -> None:
    text = WRITERS[syntax].write([("note", {"text": "word, \\ (a > b < c\n" * (SIZE // 18)})])
    assert seconds(syntax, text, token=1) < SLOW


@pytest.mark.parametrize("syntax", CALLS)
def test_long_content(syntax: str) -> None:
    assert seconds(syntax, "word, \\ (a > b < c\n" * (SIZE // 18), token=1) < SLOW


@pytest.mark.parametrize("syntax", CALLS)
def test_a_section_that_never_ends(syntax: str) -> None:
    assert seconds(syntax, WRITERS[syntax].mark + "word " * (SIZE // 5), token=1) < SLOW


@pytest.mark.parametrize("syntax", CALLS)
def test_text_that_repeats_itself(syntax: str) -> None:
    written = WRITERS[syntax].write([("note", {"text": "CUT"})])
    for before in {"", WRITERS[syntax].mark, written[: written.index("CUT")]}:
        for unit in UNITS:
            assert seconds(syntax, before + unit * (SIZE // 4 // len(unit))) < SLOW / 4, (before, unit)


@pytest.mark.parametrize("row", THOUGHTS)
def test_a_long_thought(row: str) -> None:
    for unit in UNITS:
        assert seconds("hermes", unit * (SIZE // 2 // len(unit)), thoughts=row, is_in_thought=True) < SLOW / 2, unit
