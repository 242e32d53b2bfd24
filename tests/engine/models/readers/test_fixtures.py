"""The sample outputs of all families, read with the format that is chosen for them."""

import re
from typing import Any

import pytest

from service.engine.models.formats import CALLS, answer_format
from service.engine.models.parser_selection import ModelFacts, choose_thoughts, choose_tool_parser
from service.engine.models.parser_verdicts import TOOL_PARSERS
from service.engine.models.readers.answer import AnswerReader
from service.engine.models.readers.format import AnswerFormat
from tests.engine.models.families import FAMILIES, Family, family
from tests.engine.models.readers.reading import OFFERED, Token, read_tokens
from tests.engine.models.readers.test_calls import check_beginning

each_family = pytest.mark.parametrize("name", FAMILIES)


def format_for(name: str) -> AnswerFormat:
    each = family(name)
    facts = ModelFacts(
        each.template,
        each.tokens,
        each.facts["model_type"],
        name if name == "xlam" else "acme-voice",
        shows_tools=each.expect["shows_tools"],
    )
    syntax = TOOL_PARSERS[choose_tool_parser(facts).name].syntax
    assert syntax is not None
    thoughts = choose_thoughts(facts)
    return answer_format([CALLS[syntax]], thoughts.thoughts if thoughts is not None else None)


def tokens_of(each: Family, text: str, size: int) -> list[Token]:
    """Tokens of this many characters. Those of the vocabulary that are special or added are whole."""
    words = sorted(each.tokens, key=len, reverse=True)
    pieces = re.split("(" + "|".join(map(re.escape, words)) + ")", text) if words else [text]
    tokens: list[Token] = []
    for piece in pieces:
        if piece in each.tokens:
            tokens.append((piece, piece in each.facts["special_tokens"]))
        else:
            tokens += [(piece[at : at + size], False) for at in range(0, len(piece), size)]
    return tokens


def reader_of(answers: AnswerFormat, output: Any) -> AnswerReader:
    return AnswerReader(answers, OFFERED, is_in_thought=output["prompt_opens_thought"])


@each_family
@pytest.mark.parametrize("size", [1, 4, 10_000])
def test_each_output_is_read(name: str, size: int) -> None:
    answers = format_for(name)
    for output in family(name).outputs:
        heard = read_tokens(reader_of(answers, output), tokens_of(family(name), output["text"], size))
        assert heard.content == output["content"], output["name"]
        assert heard.thought == output["reasoning"], output["name"]
        assert heard.arguments == [(call["name"], call["arguments"]) for call in output["calls"]], output["name"]
        assert heard.dropped == ()


@each_family
def test_each_output_can_be_cut_anywhere(name: str) -> None:
    answers = format_for(name)
    for output in family(name).outputs:
        tokens = tokens_of(family(name), output["text"], 7)
        whole = read_tokens(reader_of(answers, output), tokens)
        for size in range(len(tokens)):
            check_beginning(read_tokens(reader_of(answers, output), tokens[:size], "length"), whole)
