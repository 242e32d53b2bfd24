"""Calls that models write wrong: mended where their meaning is clear, otherwise dropped and counted, never spoken."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.engine.models.formats import CALLS, THOUGHTS
from service.engine.models.readers.answer import AnswerReader
from service.engine.models.readers.parts import End, Offered
from tests.engine.models.readers.reading import OFFERED, Heard, format_of, read, read_tokens
from tests.engine.models.readers.strategies import Cutting, calls, cuttings
from tests.engine.models.readers.writers import WRITERS

PARIS = '{"city": "Paris"}'
WEATHER = (("get_weather", PARIS, False),)
OBJECTS = ["hermes", "longcat", "granite-20b-fc", "inkling", "llama3_json", "gigachat3", "internlm"]
JSON = [name for name, writer in WRITERS.items() if writer.kind == "json"]
XML = [name for name, writer in WRITERS.items() if writer.kind in ("xml", "tags")]


def calls_with(syntax: str, arguments: str) -> str:
    """Two calls. The first has these arguments."""
    text = WRITERS[syntax].write([("get_weather", {"city": "Paris"}), ("end_call", {})])
    assert PARIS in text
    return text.replace(PARIS, arguments)


@pytest.mark.parametrize("syntax", JSON)
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"city": "Paris",}', {"city": "Paris"}),
        ("{'city': 'Paris'}", {"city": "Paris"}),
        ("{'city': \"L'Aquila\", 'days': None}", {"city": "L'Aquila", "days": None}),
        ('{"city": "Paris", "days": NaN}', {"city": "Paris", "days": None}),
        ('{"city": "Paris", "days": [Infinity, -Infinity, 1e999]}', {"city": "Paris", "days": [None] * 3}),
        ('{"city": "Paris", "days": True}', {"city": "Paris", "days": True}),
        ('{"city": "a\nb"}', {"city": "a\nb"}),
        ('{"city": "\\ud83d\\ude00 \\ude00"}', {"city": "😀 \ufffd"}),
        ('{"city": "Paris" "days": 2}', {"city": "Paris", "days": 2}),
        ("{city: 'Paris'}", {"city": "Paris"}),
        ('{\n  "city" :\t"Paris"\n}', {"city": "Paris"}),
        ("{}", {}),
    ],
)
def test_arguments_that_are_no_strict_json(syntax: str, written: str, meant: dict[str, object]) -> None:
    heard = read(syntax, calls_with(syntax, written))
    assert heard.arguments == [("get_weather", meant), ("end_call", {})]
    assert (heard.content, heard.dropped) == ("", ())


@pytest.mark.parametrize("syntax", [*OBJECTS, "deepseek_v3", "kimi_k2", "mistral", "harmony"])
def test_a_missing_bracket(syntax: str) -> None:
    text = calls_with(syntax, '{"city": "Paris"')
    if syntax == "llama3_json":  # Nothing marks the end of a call here.
        text = text[: text.index(";")]
    heard = read(syntax, text)
    assert heard.arguments == [("get_weather", {"city": "Paris"}), ("end_call", {})][: len(heard.calls)]
    assert len(heard.calls) == (1 if syntax == "llama3_json" else 2)
    assert (heard.content, heard.dropped) == ("", ())


@pytest.mark.parametrize("syntax", OBJECTS)
@pytest.mark.parametrize(
    "call",
    [
        '{"name": "get_weather", "parameters": {"city": "Paris"}}',
        '{"name": "get_weather", "args": {"city": "Paris"}}',
        '{"arguments": {"city": "Paris"}, "name": "get_weather"}',
        '{"arguments": "{\\"city\\": \\"Paris\\"}", "name": "get_weather"}',
        '{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}',
        '{"type": "function", "name": "functions.get_weather", "parameters": {"city": "Paris"}}',
        '{"id": "call_1", "name": "get_weather", "arguments": {"city": "Paris"}}',
        "{'name': 'get_weather', 'arguments': {'city': 'Paris'}}",
    ],
)
def test_spellings_of_one_call(syntax: str, call: str) -> None:
    right = json.dumps(json.loads(PARIS))
    written = WRITERS[syntax].write([("get_weather", {"city": "Paris"})])
    key = next(key for key in ("arguments", "parameters", "args") if f'"{key}"' in written)
    text = written.replace(f'{{"name": "get_weather", "{key}": {right}}}', call)
    assert call in text
    assert read(syntax, text) == Heard(calls=WEATHER)


@pytest.mark.parametrize("arguments", ["", ', "arguments": {}', ', "arguments": null', ', "arguments": ""', ', "arguments": []'])
def test_a_call_without_arguments(arguments: str) -> None:
    heard = read("hermes", f'<tool_call>\n{{"name": "end_call"{arguments}}}\n</tool_call>')
    assert heard == Heard(calls=(("end_call", "{}", False),))


@pytest.mark.parametrize(
    ("syntax", "text"),
    [
        ("mistral", "[TOOL_CALLS]end_call[ARGS]"),
        ("mistral", "[TOOL_CALLS]end_call{}"),
        ("mistral", '[TOOL_CALLS] [{"name": "end_call", "arguments": {}}]'),
        ("kimi_k2", "<|tool_call_begin|>functions.end_call:0<|tool_call_argument_begin|><|tool_call_end|>"),
        ("kimi_k2", "<|tool_call_begin|>end_call<|tool_call_argument_begin|>{}"),
        ("deepseek_v3", "<｜tool▁call▁begin｜>end_call<｜tool▁sep｜><｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        ("harmony", "<|channel|>commentary to=functions.end_call <|constrain|>json<|message|><|call|>"),
        ("harmony", " to=functions.end_call<|channel|>commentary json<|message|>{}"),
        ("glm45", "<tool_call>end_call</tool_call>"),
        ("glm45", "<tool_call>end_call"),
        ("qwen3_coder", "<function=end_call></function>"),
        ("qwen3_coder", "<tool_call>\n<function=end_call>\n\n</function>\n</tool_call>"),
        ("qwen3_coder", "<tool_call>\n<function=end_call>\n</tool_call>"),
        ("llama3_json", '<|python_tag|>{"name": "end_call", "parameters": {}}'),
        ("llama3_json", "<function=end_call>{}</function>"),
        ("xlam", '```json\n[{"name": "end_call", "arguments": {}}]\n```'),
        ("xlam", '<tool_call>[{"name": "end_call", "arguments": {}}]</tool_call>'),
        ("pythonic", "<|python_start|>[end_call()]<|python_end|>"),
        ("gemma4", "<|tool_call>:end_call{}<tool_call|>"),
        ("minimax_m2", "<invoke name='end_call'></invoke>"),
        ("dots", "<dots_function_call>\n<invoke name=end_call>\n</invoke></dots_function_call>"),
    ],
)
def test_other_forms_of_a_call_without_arguments(syntax: str, text: str) -> None:
    assert read(syntax, text) == Heard(calls=(("end_call", "{}", False),))


@pytest.mark.parametrize("syntax", CALLS)
def test_the_closing_mark_in_a_string_argument(syntax: str) -> None:
    writer = WRITERS[syntax]
    written = [("note", {"text": f"ends with {writer.end or '}'} here", "done": True}), ("end_call", {})]
    assert read(syntax, writer.write(written)).arguments == written


@pytest.mark.parametrize("syntax", [name for name in JSON if WRITERS[name].end])
def test_a_string_that_is_never_closed(syntax: str) -> None:
    heard = read(syntax, calls_with(syntax, '{"city": "Paris}'))
    assert heard.content == ""
    if syntax not in (
        "hunyuan_a13b",
        "apertus",
        "cohere_command3",
        "nemotron_json",
    ):  # In a list, the end of the call is lost too.
        assert [name for name, _ in heard.arguments] == ["get_weather", "end_call"]
        assert str(heard.arguments[0][1]["city"]).startswith("Paris")
        assert heard.dropped == ()


@pytest.mark.parametrize("syntax", [name for name, writer in WRITERS.items() if writer.end and writer.mark])
@pytest.mark.parametrize("is_special", [True, False])
def test_what_is_no_call_is_dropped(syntax: str, is_special: bool) -> None:
    writer = WRITERS[syntax]
    tokens: list[tuple[str, bool] | str] = [
        "Hi.\n",
        (writer.mark, is_special),
        "not a call, (really)\n",
        (writer.end, is_special),
        "\nBye.",
    ]
    endings = CALLS[syntax].endings
    if writer.kind not in ("xml", "tags"):
        assert endings
        assert read(syntax, tokens) == Heard("Hi.\n\nBye.", dropped=("malformed",))


@pytest.mark.parametrize("arguments", ["5", '"Paris"', '["Paris"]', "true"])
def test_arguments_that_are_no_object(arguments: str) -> None:
    heard = read("hermes", f'<tool_call>{{"name": "end_call", "arguments": {arguments}}}</tool_call>')
    assert heard == Heard(dropped=("malformed",))


def test_arguments_that_are_nested_too_deeply() -> None:
    nested = '{"meta": ' * 100 + "{}" + "}" * 100
    heard = read("hermes", f'<tool_call>{{"name": "note", "arguments": {nested}}}</tool_call>Hi')
    assert heard == Heard("Hi", dropped=("malformed",))


def test_a_special_token_that_begins_no_call_is_not_heard() -> None:
    assert read("mistral", [("[TOOL_CALLS]", True), "I will look it up."]) == Heard(dropped=("malformed",))
    assert read("mistral", [("[TOOL_CALLS]", True)]) == Heard(dropped=("malformed",))


QWEN = "<tool_call>\n<function=get_weather>\n<parameter=city>\nParis{}<parameter=days>\n2{}</function>\n</tool_call>\n"


@pytest.mark.parametrize("ends", [("\n", "\n</parameter>\n"), ("\n</parameter>\n", "\n"), ("\n", "\n")])
@pytest.mark.parametrize("after", ["", QWEN.format("\n</parameter>\n", "\n</parameter>\n")])
def test_an_end_of_a_parameter_that_was_left_out(ends: tuple[str, str], after: str) -> None:
    heard = read("qwen3_coder", QWEN.format(*ends) + after)
    assert heard.arguments == [("get_weather", {"city": "Paris", "days": 2})] * (2 if after else 1)


def test_an_end_of_a_call_that_was_left_out() -> None:
    text = "<tool_call><function=end_call><function=get_weather><parameter=city>Paris</parameter></function></tool_call>"
    assert read("qwen3_coder", text).arguments == [("end_call", {}), ("get_weather", {"city": "Paris"})]


@pytest.mark.parametrize("syntax", ["qwen3_coder", "minimax_m2", "dots", "seed_oss"])
def test_json_in_place_of_tags(syntax: str) -> None:
    written = WRITERS[syntax].write([("get_weather", {"city": "Paris"})])
    inner = written[written.index("<parameter") : written.index("</parameter>") + len("</parameter>")]
    heard = read(syntax, written.replace(inner, '{"city": "a < b", "days": 2}'))
    assert heard.arguments == [("get_weather", {"city": "a < b", "days": 2})]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "5", 5),
        ({"type": "integer"}, "5.0", 5),
        ({"type": "integer"}, "five", "five"),
        ({"type": "number"}, "NaN", None),
        ({"type": "string"}, "5", "5"),
        ({"type": "string"}, " null", " null"),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "null"]}, "5", "5"),
        ({"type": "boolean"}, "True", True),
        ({"type": "object"}, "{'a': 1}", {"a": 1}),
        ({"type": "array"}, "[1, 2,]", [1, 2]),
        ({"enum": ["c", "f"]}, "c", "c"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "None", None),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "7", 7),
        ({}, "5", 5),
        ({}, "word", "word"),
    ],
)
def test_values_of_tags_get_the_type_of_the_schema(schema: dict[str, object], text: str, value: object) -> None:
    offered = Offered({"f": {"type": "object", "properties": {"x": schema}}})
    heard = read("glm45", f"<tool_call>f\n<arg_key>x</arg_key><arg_value>{text}</arg_value></tool_call>", offered=offered)
    assert heard.arguments == [("f", {"x": value})]
    assert type(heard.arguments[0][1]["x"]) is type(value)


@pytest.mark.parametrize("syntax", CALLS)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), cuttings=st.tuples(cuttings(), cuttings()), end=st.sampled_from(["stop", "length"]))
def test_damaged_calls_give_strict_json_however_they_are_cut(
    syntax: str, data: st.DataObject, cuttings: tuple[Cutting, Cutting], end: End
) -> None:
    thoughts = syntax if syntax in THOUGHTS else "think"
    text = WRITERS[syntax].write(data.draw(calls(syntax)))
    for _ in range(data.draw(st.integers(1, 3))):
        at, size = data.draw(st.integers(0, len(text))), data.draw(st.sampled_from([0, 0, 1, 1, 2, 5, 30]))
        damage = data.draw(
            st.sampled_from(["", "", " ", '"', "{", "}", "<", ">", ",", "x", "\\", "</think>", WRITERS[syntax].mark])
        )
        text = text[:at] + damage + text[at + size :]
    heard = [read_tokens(AnswerReader(format_of(syntax, thoughts), OFFERED), cutting(text), end) for cutting in cuttings]
    assert heard[0] == heard[1]
    assert all(name in OFFERED.functions for name, _ in heard[0].arguments)
