"""Thoughts: kept out of the content, whole, and counted."""

import re

import pytest
from hypothesis import HealthCheck, given, settings

from service.engine.models.formats import THOUGHTS
from service.engine.models.readers.answer import AnswerReader
from tests.engine.models.readers.reading import OFFERED, Heard, format_of, read, read_tokens
from tests.engine.models.readers.strategies import Cutting, cuttings, texts
from tests.engine.models.readers.test_calls import check_beginning
from tests.engine.models.readers.writers import WRITERS

quick = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
MARKS = {
    "think": ("<think>", "</think>"),
    "answer": ("<think>", "</think>"),
    "response": ("<think>", "</think>"),
    "seed": ("<seed:think>", "</seed:think>"),
    "mistral": ("[THINK]", "[/THINK]"),
    "gemma4": ("<|channel>thought\n", "<channel|>"),
    "cohere": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "granite": ("Here is my thought process:", "Here is my response:"),
    "longcat": ("<longcat_think>", "</longcat_think>"),
    "minimax_m3": ("<mm:think>", "</mm:think>"),
    "kimi": ("◁think▷", "◁/think▷"),
    "kimi_k3": ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    "plamo3": ("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>"),
    "k2_horizon": ("<ifm|think>", "</ifm|think>"),
    "thought": ("<thought>", "</thought>"),
    "apriel": ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),
    "harmony": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
}
CALL = WRITERS["hermes"].write([("get_weather", {"city": "Paris"})])
CALLED = (("get_weather", '{"city": "Paris"}', False),)
each_row = pytest.mark.parametrize("row", THOUGHTS)


def tokens_in(marks: str) -> list[str]:
    """The tokens of the vocabulary that these marks consist of."""
    return re.findall(r"<[^<>]+>|\[[A-Z/]+\]|◁[^▷]+▷", marks)


def test_every_row_is_tried() -> None:
    assert MARKS.keys() == THOUGHTS.keys()


@each_row
@quick
@given(thought=texts(), content=texts(), cutting=cuttings())
def test_a_thought_is_kept_apart(row: str, thought: str, content: str, cutting: Cutting) -> None:
    opens, closes = MARKS[row]
    for text, is_open in ((f"{opens}{thought}{closes}{content}", False), (f"{thought}{closes}{content}", True)):
        reader = AnswerReader(format_of("hermes", row), OFFERED, is_in_thought=is_open)
        heard = read_tokens(reader, cutting(text, tokens_in(opens + closes)))
        assert heard == Heard(content.lstrip(), thought.strip())
        assert reader.has_withheld == bool(thought.strip())


@each_row
@quick
@given(thought=texts(), content=texts(), cutting=cuttings())
def test_a_thought_that_is_cut_is_a_beginning(row: str, thought: str, content: str, cutting: Cutting) -> None:
    opens, closes = MARKS[row]
    tokens = cutting(f"{opens}{thought}{closes}{content}.", tokens_in(opens + closes))
    whole = read_tokens(AnswerReader(format_of("hermes", row), OFFERED), tokens)
    for size in range(len(tokens)):
        cut = read_tokens(AnswerReader(format_of("hermes", row), OFFERED), tokens[:size], "length")
        check_beginning(cut, whole)


@each_row
def test_calls_follow_a_thought(row: str) -> None:
    opens, closes = MARKS[row]
    assert read("hermes", f"{opens}Hm.{closes}\n\nOk.\n{CALL}", thoughts=row) == Heard("Ok.", "Hm.", CALLED)
    assert read("hermes", f"Hm.{closes}{CALL}", thoughts=row, is_in_thought=True) == Heard("", "Hm.", CALLED)


@each_row
def test_a_call_in_a_thought_that_was_not_closed(row: str) -> None:
    assert read("hermes", f"Hm.\n{CALL}", thoughts=row, is_in_thought=True) == Heard("", "Hm.", CALLED)


@pytest.mark.parametrize("after", [" No, not yet.\n</think>\nHi", "</think>Hi", f"</think>{CALL}"])
def test_a_call_that_was_only_considered_in_a_thought_is_not_made(after: str) -> None:
    heard = read("hermes", f"Hm.\n{CALL}{after}", thoughts="think", is_in_thought=True)
    assert heard.content == ("Hi" if after.endswith("Hi") else "")
    assert heard.calls == (CALLED if after.endswith(CALL) else ())


@pytest.mark.parametrize("after", ["", "\n</think>\n"])
def test_a_call_with_which_a_thought_ends_the_answer_is_made(after: str) -> None:
    heard = read("hermes", f"Hm.\n{CALL}{after}", thoughts="think", is_in_thought=True)
    assert (heard.content, heard.thought, heard.calls) == ("", "Hm.", CALLED)


@pytest.mark.parametrize(
    "thought",
    [
        "I could <tool_call> it",
        "I could write <tool_call>{...}</tool_call>",
        '<tool_call>{"name": "nothing", "arguments": {}}</tool_call>?',
        "<tool_call>{'name'",
        "see <tool",
        '{"name": "get_weather", "parameters": {"city": "Paris"}}',
        "<think> again",
    ],
)
def test_a_call_that_is_only_thought_of_is_a_thought(thought: str) -> None:
    for text in (f"{thought}</think>Yes", f"{thought}\n</think>\n\nYes"):
        heard = read("hermes", text, thoughts="think", is_in_thought=True)
        assert heard == Heard("Yes", thought.replace("<think> ", ""))


def test_the_first_words_do_not_wait_for_the_end_after_a_mention_in_the_thought() -> None:
    reader = AnswerReader(format_of("hermes", "think"), OFFERED, is_in_thought=True)
    parts = [part for char in "I could <tool_call> it.</think>Yes, " for part in reader.read(char)]
    assert "".join(getattr(part, "text", "") for part in parts).endswith("Yes,")


def test_two_thoughts_are_separated() -> None:
    assert read("hermes", "<think>One</think>A<think>Two</think> B", thoughts="think") == Heard("A B", "One\nTwo")


def test_messages_of_harmony_are_separated() -> None:
    text = (
        "<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>commentary<|message|>One moment.<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>So<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    )
    assert read("harmony", text, thoughts="harmony") == Heard("One moment.\nHi", "Hm\nSo")


@pytest.mark.parametrize(
    ("tokens", "count"),
    [
        (["<think>", "\n", "a", " b", "\n", "</think>", "Hi"], 4),
        (["<think>", "</think>", "Hi"], 0),
        (["<", "think", ">", "a", "<", "/think", ">", "Hi"], 1),
        (["<think>", "a", "<", "b", "</think>"], 3),
        (["<think>", "a", "</thi"], 2),
        (["<think>", "a b", "", "", "c", "</think>"], 4),
        (["<think>", "a <", "/think>", "Hi"], 1),
        (["<think>", "a", "<tool_call>", " it", "</think>", "Hi"], 3),
        (["<think>", "a", "<tool_call>", '{"name": "end_call"}', "</tool_call>", "b", "</think>"], 2),
        (["Hi", "<think>", "a", ("<|im_end|>", True)], 2),
        (["Hi"], 0),
    ],
)
def test_tokens_of_thoughts_are_counted(tokens: list[str | tuple[str, bool]], count: int) -> None:
    reader = AnswerReader(format_of("hermes", "think"), OFFERED)
    read_tokens(reader, tokens)
    assert (reader.thought_tokens, reader.tokens) == (count, len(tokens))


def test_tokens_of_thoughts_of_harmony_are_counted() -> None:
    reader = AnswerReader(format_of("harmony", "harmony"), OFFERED)
    specials = {"<|channel|>", "<|message|>", "<|end|>", "<|start|>"}
    tokens = ["<|channel|>", "analysis", "<|message|>", "Hm", ".", "<|end|>", "<|start|>", "assistant", "<|channel|>", "final"]
    heard = read_tokens(reader, [(token, token in specials) for token in [*tokens, "<|message|>", "Hi"]])
    assert heard == Heard("Hi", "Hm.")
    assert reader.thought_tokens == 2


def test_the_mode_of_the_reader() -> None:
    reader = AnswerReader(format_of("hermes", "think"), OFFERED)
    modes = []
    for token in ["<think>", "a", "</think>", "Hi", "<tool_call>", '{"name": "end_call"}', "</tool_call>", "Bye"]:
        reader.read(token)
        modes.append(reader.mode)
    assert modes == ["thought", "thought", "content", "content", "call", "call", "content", "content"]


def test_stop_strings_do_not_end_a_thought() -> None:
    heard = read("hermes", "<think>One. Two.</think>Three. Four.", thoughts="think", stops=["."])
    assert heard == Heard("Three", "One. Two.")
