"""Outputs that are nearly in their format: doubled marks, code blocks, headers with other spacing, arguments beside the name."""

import pytest

from tests.engine.models.readers.reading import Heard, read

CALL = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
CALLED = (("get_weather", '{"city": "Paris"}', False),)


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        ("hermes", f"<tool_call>\n<tool_call>\n{CALL}\n</tool_call>"),
        ("hermes", f"<tool_call>\n```json\n{CALL}\n```\n</tool_call>"),
        ("hermes", '<tool_call>{"name": "get_weather", "city": "Paris"}</tool_call>'),
        ("hermes", '<tool_call>{"name": "get_weather", "kwargs": {"city": "Paris"}}</tool_call>'),
        ("nemotron_json", f"<TOOLCALL>[{CALL}]</TOOLCALL>"),
        ("phi4_mini_json", f"functools[{CALL}]"),
    ],
)
def test_a_call_that_is_nearly_right_is_made(syntax: str, text: str) -> None:
    assert read(syntax, text) == Heard("", "", CALLED)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("<|channel|>analysis <|message|>secret<|end|><|start|>assistant<|channel|>final<|message|>Hi", "Hi"),
        ("<|channel|>analysis<|message|>secret<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>{}", "{}"),
        ("<|channel|>musing<|message|>secret<|end|><|start|>assistant<|channel|> final <|message|>Hi", "Hi"),
        ("<|channel|>final<|message|>Hi<|end|><|start|>user<|message|>secret<|end|>", "Hi"),
        ('<|channel|>final<|message|>Hi<|end|><|start|>assistant<|channel|>commentary json<|message|>{"secret": 1}', "Hi"),
    ],
)
def test_only_the_final_channel_of_harmony_is_spoken(text: str, content: str) -> None:
    heard = read("harmony", text, thoughts="harmony")
    assert heard.content == content
    assert not heard.calls


def test_citations_are_not_spoken() -> None:
    text = "<|START_RESPONSE|>It is <co>20 degrees</co: 0:[1]>.<|END_RESPONSE|>"
    assert read("cohere_command3", text, thoughts="cohere") == Heard("It is 20 degrees.")


FUNCTION = "<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>"


@pytest.mark.parametrize("syntax", ["hermes", "qwen3_coder", "glm45"])
@pytest.mark.parametrize("body", [CALL, f"[{CALL}]", FUNCTION, FUNCTION.replace("get_weather", '"get_weather"')])
def test_the_syntaxes_between_the_same_tags_can_be_mixed(syntax: str, body: str) -> None:
    assert read(syntax, f"<tool_call>\n{body}\n</tool_call>") == Heard("", "", CALLED)
