"""Properties of content: each character that a model says is heard, and no markup is."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.engine.models.formats import CALLS, THOUGHTS, answer_format
from service.engine.models.readers.answer import AnswerReader
from service.engine.models.readers.parts import Offered
from tests.engine.models.readers.reading import OFFERED, Heard, format_of, read, read_tokens
from tests.engine.models.readers.strategies import Cutting, cuttings, texts
from tests.engine.models.readers.writers import WRITERS

quick = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
each_syntax = pytest.mark.parametrize("syntax", CALLS)
MENTIONED = [syntax for syntax, writer in WRITERS.items() if writer.mark]


@each_syntax
@quick
@given(text=texts(), cutting=cuttings(), thoughts=st.sampled_from([None, *THOUGHTS]), has_tools=st.booleans())
def test_text_is_heard_as_it_is(syntax: str, text: str, cutting: Cutting, thoughts: str | None, has_tools: bool) -> None:
    reader = AnswerReader(format_of(syntax, thoughts), OFFERED if has_tools else Offered({}))
    assert read_tokens(reader, cutting(text)) == Heard(text)


@each_syntax
@quick
@given(text=texts(), cutting=cuttings())
def test_text_that_the_token_limit_ends_is_heard_but_for_what_can_be_half_a_mark(
    syntax: str, text: str, cutting: Cutting
) -> None:
    heard = read_tokens(AnswerReader(format_of(syntax), OFFERED), cutting(text), "length")
    assert text.startswith(heard.content)
    assert len(text) - len(heard.content) < 12
    assert heard == Heard(heard.content)


@given(text=texts(), cutting=cuttings())
@quick
def test_text_of_a_model_without_marks_is_heard_also_at_the_token_limit(text: str, cutting: Cutting) -> None:
    assert read_tokens(AnswerReader(answer_format([], None), OFFERED), cutting(text), "length") == Heard(text)


@pytest.mark.parametrize("syntax", MENTIONED)
@pytest.mark.parametrize("text", ["I can use MARK tags.", "It is MARK", "MARK is a mark, (and) MARK\n\ntoo. ", "Is MARK 5 > 3?"])
def test_a_mark_that_is_only_mentioned_is_content(syntax: str, text: str) -> None:
    said = text.replace("MARK", WRITERS[syntax].mark)
    assert read(syntax, said) == Heard(said)


@pytest.mark.parametrize("syntax", MENTIONED)
def test_a_call_after_a_mention_is_a_call(syntax: str) -> None:
    writer = WRITERS[syntax]
    said = f"I use {writer.mark} now."
    text = f"{said}\n{writer.write([('end_call', {})])}"
    assert read(syntax, text) == Heard(said, calls=(("end_call", "{}", False),))


@pytest.mark.parametrize("syntax", MENTIONED)
def test_text_after_a_mention_does_not_wait_for_the_end(syntax: str) -> None:
    reader = AnswerReader(format_of(syntax), OFFERED)
    heard = ""
    for char in f"I can use {WRITERS[syntax].mark} tags. " + "And so on. " * 40:
        heard += "".join(getattr(part, "text", "") for part in reader.read(char))
    assert "And so on." in heard


@pytest.mark.parametrize("syntax", CALLS)
@pytest.mark.parametrize("text", ["Hello", "", "Hi <there", " "])
def test_a_special_token_of_no_meaning_is_never_heard(syntax: str, text: str) -> None:
    tokens: list[tuple[str, bool] | str] = ["Hi", ("<|im_end|>", True), text, ("<unk>", True), ("[INST]", True)]
    assert read(syntax, tokens) == Heard("Hi" + text)


@pytest.mark.parametrize(
    ("syntax", "token"),
    [
        ("mistral", "[ARGS]"),
        ("gemma4", "<tool_call|>"),
        ("kimi_k2", "<|tool_call_argument_begin|>"),
        ("harmony", "<|constrain|>"),
        ("harmony", "<|channel|>"),
    ],
)
def test_a_special_token_of_a_call_is_not_heard_without_the_call(syntax: str, token: str) -> None:
    tokens: list[tuple[str, bool] | str] = ["Hi", (token, True), " there", (token, True)]
    assert read(syntax, tokens) == Heard("Hi there")


@pytest.mark.parametrize(
    ("tokens", "content"),
    [
        ([("<|START_RESPONSE|>", True), "Hi", (" there", False), ("<|END_RESPONSE|>", True)], "Hi there"),
        (["<|START_RESPONSE|>", "Hi\n", "<|END_RESPONSE|>"], "Hi"),
    ],
)
def test_marks_around_content_are_not_heard(tokens: list[str | tuple[str, bool]], content: str) -> None:
    assert read("cohere_command3", tokens, thoughts="cohere") == Heard(content)


def test_the_end_of_a_section_alone_is_not_heard() -> None:
    assert read("hermes", "Hi.\n</tool_call>\n") == Heard("Hi.")


@given(
    text=texts(min_size=1), cutting=cuttings(),
    stops=st.lists(st.sampled_from(["Paris", "o", "lo", "llo w", "[L", "aug", "\n", "euros", "```", "}", "ent"]), max_size=4),
)  # fmt: skip
@quick
def test_the_stop_string_that_is_complete_first_ends_the_content(text: str, cutting: Cutting, stops: list[str]) -> None:
    ends = [(place + len(stop), place) for stop in stops if (place := text.find(stop)) >= 0]
    content = text[: min(ends)[1]] if ends else text
    reader = AnswerReader(format_of("hermes", "think"), OFFERED, stops=stops)
    assert read_tokens(reader, cutting(text)) == Heard(content)
    assert reader.is_over == bool(ends)


@pytest.mark.parametrize("text", ["abcdef", "xxabcd"])
def test_of_two_stop_strings_the_first_to_be_complete_counts(text: str) -> None:
    assert read("hermes", text, stops=["bc", "abcd"]) == Heard(text[: text.find("bc")])


def test_stop_strings_wait_for_the_smallest_number_of_tokens() -> None:
    assert read("hermes", list("a.b.c.d"), stops=["."], min_tokens=2) == Heard("a.b")


def test_after_a_stop_string_nothing_is_read() -> None:
    reader = AnswerReader(format_of("hermes"), OFFERED, stops=["."])
    text = 'Hi. More.<tool_call>{"name": "end_call", "arguments": {}}</tool_call>'
    assert read_tokens(reader, text) == Heard("Hi")
    assert (reader.is_over, reader.tokens) == (True, len(text))


def test_what_was_said_called_and_withheld_is_known() -> None:
    def flags(text: str) -> tuple[bool, bool, bool]:
        reader = AnswerReader(format_of("hermes", "think"), OFFERED)
        read_tokens(reader, text)
        return reader.has_said, reader.has_called, reader.has_withheld

    assert flags("Hi") == (True, False, False)
    assert flags('<tool_call>{"name": "end_call"}</tool_call>') == (False, True, False)
    assert flags('<tool_call>{"name": "nothing"}</tool_call>') == (False, False, True)
    assert flags("<think>Hm") == (False, False, True)
    assert flags("<think>\n\n</think>\n\n") == (False, False, False)
