"""Calls that a constraint forces: in the model's own syntax, as a JSON list of calls, or as the arguments alone."""

import json
from typing import Literal

import pytest

from service.engine.models.formats import CALLS
from service.engine.models.readers.parts import Offered
from tests.engine.models.families import SCHEMAS
from tests.engine.models.readers.reading import Heard, read
from tests.engine.models.readers.test_thoughts import MARKS

PARIS = '{"city": "Paris"}'
WEATHER = ("get_weather", PARIS, False)
END = ("end_call", "{}", False)
LIST = Offered(SCHEMAS, forced="list")
ARGUMENTS = Offered({"get_weather": SCHEMAS["get_weather"]}, max_calls=1, forced="arguments")
each_syntax = pytest.mark.parametrize("syntax", CALLS)


@each_syntax
@pytest.mark.parametrize("key", ["parameters", "arguments"])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_of_calls(syntax: str, key: str, indent: int | None) -> None:
    text = json.dumps([{"name": "get_weather", key: {"city": "Paris"}}, {"name": "end_call", key: {}}], indent=indent)
    for written in (text, f"\n {text} \n"):
        assert read(syntax, written, offered=LIST) == Heard(calls=(WEATHER, END))


@each_syntax
@pytest.mark.parametrize("text", [PARIS, f"\n {PARIS}\n\n", '{\n  "city":"Paris"\n}'])
def test_arguments_alone(syntax: str, text: str) -> None:
    assert read(syntax, text, offered=ARGUMENTS) == Heard(calls=(WEATHER,))


def test_arguments_that_look_like_a_call() -> None:
    text = '{"name": "get_weather", "arguments": {"city": "Oslo"}}'
    assert read("hermes", text, offered=ARGUMENTS).arguments == [("get_weather", json.loads(text))]


@pytest.mark.parametrize("thoughts", ["think", "harmony", "mistral", "cohere"])
@pytest.mark.parametrize("forced", [LIST, ARGUMENTS])
def test_a_forced_call_after_a_thought(thoughts: str, forced: Offered) -> None:
    opens, closes = MARKS[thoughts]
    call = PARIS if forced is ARGUMENTS else f'[{{"name": "get_weather", "parameters": {PARIS}}}]'
    for text, is_open in ((f"{opens}Hm [1].{closes}\n\n{call}", False), (f"Hm [1].{closes}{call}", True)):
        heard = read("hermes", text, thoughts=thoughts, offered=forced, is_in_thought=is_open)
        assert heard == Heard(thought="Hm [1].", calls=(WEATHER,))


@pytest.mark.parametrize("forced", [LIST, ARGUMENTS])
def test_stop_strings_do_not_end_a_forced_call(forced: Offered) -> None:
    call = PARIS if forced is ARGUMENTS else f'[{{"name": "get_weather", "parameters": {PARIS}}}]'
    assert read("hermes", call, offered=forced, stops=["}", "Paris", ","]) == Heard(calls=(WEATHER,))


def test_a_forced_list_that_is_cut() -> None:
    text = f'[{{"name": "get_weather", "parameters": {PARIS}}}, {{"name": "note", "parameters": {{"text": "Hello"}}}}]'
    whole = read("hermes", text, offered=LIST)
    for size in range(len(text)):
        heard = read("hermes", list(text[:size]), offered=LIST, end="length")
        assert (heard.content, heard.dropped) == ("", ())
        for call, full in zip(heard.calls, whole.calls, strict=False):
            assert call[0] == full[0]
            assert full[1].startswith(call[1])
    assert read("hermes", text[: text.index("lo")], offered=LIST, end="length").calls == (
        WEATHER,
        ("note", '{"text": "Hel', True),
    )


def test_forced_arguments_that_are_cut() -> None:
    assert read("hermes", '{"city": "Par', offered=ARGUMENTS, end="length").calls == (("get_weather", '{"city": "Par', True),)
    assert read("hermes", '{"city": "Paris", "da', offered=ARGUMENTS, end="length").calls == (
        ("get_weather", '{"city": "Paris"', True),
    )
    assert read("hermes", "{", offered=ARGUMENTS, end="length").calls == (("get_weather", "", True),)
    assert read("hermes", " ", offered=ARGUMENTS, end="length") == Heard()


@pytest.mark.parametrize("forced", [LIST, ARGUMENTS])
@pytest.mark.parametrize("text", ["Sure, one moment.", '"Paris"', "[1, 2]", "{", '{"name": ', "[["])
def test_a_forced_answer_is_never_content(forced: Offered, text: str) -> None:
    heard = read("hermes", text, offered=forced)
    assert heard.content == ""


FORCED = {
    "hermes": '<tool_call>\n{"name": "get_weather", "arguments": A}\n</tool_call><tool_call>'
    '{"name": "end_call", "arguments": {}}</tool_call>',
    "longcat": '<longcat_tool_call>\n{"name": "get_weather", "arguments": A}\n</longcat_tool_call>'
    '<longcat_tool_call>\n{"name": "end_call", "arguments": {}}\n</longcat_tool_call>',
    "llama3_json": '{"name": "get_weather", "parameters": A}\n{"name": "end_call", "parameters": {}}',
    "qwen3_coder": "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n</function>\n</tool_call>"
    "<tool_call>\n<function=end_call>\n\n</function>\n</tool_call>",
    "glm45": "<tool_call>get_weather<arg_key>city</arg_key><arg_value>Paris</arg_value></tool_call>"
    "<tool_call>end_call</tool_call>",
    "kimi_k2": "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>A"
    "<|tool_call_end|>"
    "<|tool_call_begin|>functions.end_call:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
    "kimi_k3": '<|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|>'
    '<|open|>argument key="city" type="string"<|sep|>Paris<|close|>argument<|sep|><|close|>call<|sep|>'
    '<|open|>call tool="end_call" index="2"<|sep|><|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|>',
    "minimax_m2": '\n<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Paris</parameter>\n</invoke>\n'
    '<invoke name="end_call">\n</invoke>\n</minimax:tool_call>',
    "deepseek_v3": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>A<｜tool▁call▁end｜>"
    "<｜tool▁call▁begin｜>end_call<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "deepseek_v32": '\n\n<｜DSML｜ calls>\n<｜DSML｜ invoke name="get_weather">\n<｜DSML｜ parameter name="city" string="true">'
    "Paris"
    '</｜DSML｜ parameter>\n</｜DSML｜ invoke>\n<｜DSML｜ invoke name="end_call">\n</｜DSML｜ invoke>\n</｜DSML｜ calls>',
    "hy_v3": "<tool_calls:x><tool_call:x>get_weather<arg_key:x>city</arg_key:x><arg_value:x>Paris</arg_value:x></tool_call:x>"
    "<tool_call:x>end_call</tool_call:x></tool_calls:x>",
}


@pytest.mark.parametrize("syntax", FORCED)
def test_calls_that_a_grammar_holds_to_the_models_own_syntax(syntax: str) -> None:
    thoughts = "kimi_k3" if syntax == "kimi_k3" else None
    text = FORCED[syntax].replace(": A", f": {PARIS}").replace(">A<", f">{PARIS}<")
    assert read(syntax, text, thoughts=thoughts) == Heard(calls=(WEATHER, END))


@pytest.mark.parametrize("channel", ["commentary", "analysis", "final"])
@pytest.mark.parametrize("kind", [" json", " <|constrain|>json"])
@pytest.mark.parametrize("before", ["", "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"])
def test_forced_calls_of_harmony(channel: Literal["commentary", "analysis", "final"], kind: str, before: str) -> None:
    thought = "Hm." if before else ""
    for call in (
        f"<|channel|>{channel} to=functions.get_weather{kind}<|message|>{PARIS}",
        f" to=functions.get_weather<|channel|>{channel}{kind}<|message|>{PARIS}<|end|>",
    ):
        assert read("harmony", before + call, thoughts="harmony") == Heard("", thought, (WEATHER,))


def test_the_name_of_a_cut_call_is_its_own() -> None:
    """A "name" among the arguments is not the function's."""
    text = '[{"arguments": {"name": "note", "text": "Hello"}, "name": "get_weather"}]'
    for size in range(len(text)):
        heard = read("hermes", list(text[:size]), offered=LIST, end="length")
        assert [name for name, _, _ in heard.calls] in ([], ["get_weather"])
