"""Writes tool calls as models write them: one writer for each syntax, from the families' documented formats."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Calls = Sequence[tuple[str, Mapping[str, Any]]]
WriteValue = Callable[[Any], str]


@dataclass(frozen=True)
class Writer:
    """How a family writes calls."""

    write: Callable[[Calls], str]
    mark: str = ""
    """What begins a section. Empty if nothing does."""
    end: str = ""
    """What ends a call's arguments, so that a string argument with this text is a trial."""
    kind: str = "json"
    """`json`, `python`, `gemma` or `xml`: how the arguments are written."""


def _objects(before: str, after: str, *, key: str = "arguments", name: str = "name") -> Callable[[Calls], str]:
    """One section for each call."""
    return lambda calls: "".join(f"{before}{json.dumps({name: each, key: arguments})}{after}" for each, arguments in calls)


def _array(before: str, after: str, *, key: str = "arguments", name: str = "name") -> Callable[[Calls], str]:
    """One section with a list of calls."""
    return lambda calls: (
        before + json.dumps([{name: each, key: arguments} for each, arguments in calls], ensure_ascii=False) + after
    )


def _joined(before: str, each: str, between: str, after: str) -> Callable[[Calls], str]:
    """One section. `each` has NAME, VALUE and NUMBER."""

    def write(calls: Calls) -> str:
        written = [
            each.replace("NAME", name).replace("NUMBER", str(number)).replace("VALUE", json.dumps(arguments, ensure_ascii=False))
            for number, (name, arguments) in enumerate(calls)
        ]
        return before + between.join(written) + after

    return write


def _python(before: str, between: str, after: str) -> Callable[[Calls], str]:
    def write(calls: Calls) -> str:
        each = [f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})" for name, arguments in calls]
        return before + between.join(each) + after

    return write


def _gemma(before: str, after: str, mark: str) -> Callable[[Calls], str]:
    def value(item: Any) -> str:
        if isinstance(item, str):
            return f"{mark}{item}{mark}"
        if isinstance(item, Mapping):
            return "{" + ",".join(f"{key}:{value(each)}" for key, each in item.items()) + "}"
        if isinstance(item, list):
            return "[" + ",".join(map(value, item)) + "]"
        return json.dumps(item)

    return lambda calls: "".join(f"{before}call:{name}{value(arguments)}{after}" for name, arguments in calls)


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _xml(
    section: tuple[str, str],
    call: tuple[str, str],
    parameter: tuple[str, str],
    *,
    write_value: WriteValue = plain,
    is_one_section: bool = True,
) -> Callable[[Calls], str]:
    """Tags with NAME, KEY, NUMBER and STRING."""

    def write_call(number: int, name: str, arguments: Mapping[str, Any]) -> str:
        parameters = ""
        for key, value in arguments.items():
            before, after = (
                mark.replace("KEY", key).replace("STRING", "true" if isinstance(value, str) else "false") for mark in parameter
            )
            parameters += before + write_value(value) + after
        return call[0].replace("NAME", name).replace("NUMBER", str(number)) + parameters + call[1]

    def write(calls: Calls) -> str:
        written = [write_call(number, name, arguments) for number, (name, arguments) in enumerate(calls)]
        if is_one_section:
            return section[0] + "".join(written) + section[1]
        return "".join(section[0] + each + section[1] for each in written)

    return write


def _cdata(value: Any) -> str:
    text = plain(value)
    return f"<![CDATA[{text}]]>" if any(char in text for char in "<&\n") else text


_NS = "]<]minimax[>["


def _nested(value: Any) -> str:
    """Objects and lists as tags."""
    if isinstance(value, Mapping):
        return "".join(f"{_NS}<{key}>{_nested(item)}{_NS}</{key}>" for key, item in value.items())
    if isinstance(value, list):
        return "".join(f"{_NS}<item>{_nested(item)}{_NS}</item>" for item in value)
    return plain(value)


_DS = "｜DSML｜"
_PLAMO = "<|plamo:{}:plamo|>".format
WRITERS: Mapping[str, Writer] = {
    "hermes": Writer(_objects("<tool_call>\n", "\n</tool_call>\n"), "<tool_call>", "</tool_call>"),
    "nemotron_json": Writer(_array("<TOOLCALL>", "</TOOLCALL>"), "<TOOLCALL>", "</TOOLCALL>"),
    "longcat": Writer(_objects("<longcat_tool_call>\n", "\n</longcat_tool_call>"), "<longcat_tool_call>", "</longcat_tool_call>"),
    "granite": Writer(_array("<|tool_call|>", ""), "<|tool_call|>"),
    "granite-20b-fc": Writer(_objects("<function_call> ", ""), "<function_call>"),
    "phi4_mini_json": Writer(_array("functools", ""), "functools"),
    "hunyuan_a13b": Writer(_array("<tool_calls>", "</tool_calls>"), "<tool_calls>", "</tool_calls>"),
    "internlm": Writer(
        _objects("<|action_start|><|plugin|>\n", "<|action_end|>\n", key="parameters"), "<|action_start|>", "<|action_end|>"
    ),
    "apertus": Writer(
        lambda calls: f"<|tools_prefix|>{json.dumps([{name: arguments} for name, arguments in calls])}<|tools_suffix|>",
        "<|tools_prefix|>",
        "<|tools_suffix|>",
    ),
    "cohere_command3": Writer(
        _array("<|START_ACTION|>", "<|END_ACTION|>", key="parameters", name="tool_name"), "<|START_ACTION|>", "<|END_ACTION|>"
    ),
    "gigachat3": Writer(_objects("function call<|role_sep|>\n", ""), "function call<|role_sep|>"),
    "inkling": Writer(
        _objects("<|content_invoke_tool_json|>", "<|end_message|>", key="args"), "<|content_invoke_tool_json|>", "<|end_message|>"
    ),
    "llama3_json": Writer(lambda calls: "; ".join(json.dumps({"name": name, "parameters": given}) for name, given in calls)),
    "xlam": Writer(_array("", "")),
    "mistral": Writer(_joined("", "[TOOL_CALLS]NAME[ARGS]VALUE", "", ""), "[TOOL_CALLS]"),
    "deepseek_v3": Writer(
        _joined(
            "<｜tool▁calls▁begin｜>",
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nVALUE\n```<｜tool▁call▁end｜>",
            "\n",
            "<｜tool▁calls▁end｜>",
        ),
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁end｜>",
    ),
    "kimi_k2": Writer(
        _joined(
            "<|tool_calls_section_begin|>",
            "<|tool_call_begin|>functions.NAME:NUMBER<|tool_call_argument_begin|>VALUE<|tool_call_end|>",
            "",
            "<|tool_calls_section_end|>",
        ),
        "<|tool_calls_section_begin|>",
        "<|tool_call_end|>",
    ),
    "plamo3": Writer(
        _joined(
            _PLAMO("begin_tool_requests"),
            _PLAMO("begin_tool_request")
            + _PLAMO("begin_tool_name")
            + "NAME"
            + _PLAMO("end_tool_name")
            + _PLAMO("begin_tool_arguments")
            + "<|plamo:constrain|>json<|plamo:msg|>VALUE"
            + _PLAMO("end_tool_arguments")
            + _PLAMO("end_tool_request"),
            "",
            _PLAMO("end_tool_requests"),
        ),
        _PLAMO("begin_tool_requests"),
        _PLAMO("end_tool_arguments"),
    ),
    "harmony": Writer(
        _joined(
            "",
            "<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>VALUE",
            "<|call|><|start|>assistant",
            "<|call|>",
        ),
        "",
        "<|call|>",
    ),
    "pythonic": Writer(_python("[", ", ", "]"), kind="python"),
    "olmo3": Writer(
        _python("<function_calls>\n", "\n", "\n</function_calls>"), "<function_calls>", "</function_calls>", "python"
    ),
    "lfm2": Writer(
        _python("<|tool_call_start|>[", ", ", "]<|tool_call_end|>"), "<|tool_call_start|>", "<|tool_call_end|>", "python"
    ),
    "gemma4": Writer(_gemma("<|tool_call>", "<tool_call|>", '<|"|>'), "<|tool_call>", "<tool_call|>", "gemma"),
    "functiongemma": Writer(
        _gemma("<start_function_call>", "<end_function_call>", "<escape>"),
        "<start_function_call>",
        "<end_function_call>",
        "gemma",
    ),
    "qwen3_coder": Writer(
        _xml(
            ("<tool_call>\n", "\n</tool_call>\n"),
            ("<function=NAME>\n", "</function>"),
            ("<parameter=KEY>\n", "\n</parameter>\n"),
            is_one_section=False,
        ),
        "<tool_call>",
        "</parameter>",
        "xml",
    ),
    "seed_oss": Writer(
        _xml(
            ("<seed:tool_call>\n", "\n</seed:tool_call>\n"),
            ("<function=NAME>\n", "</function>"),
            ("<parameter=KEY>", "</parameter>\n"),
            is_one_section=False,
        ),
        "<seed:tool_call>",
        "</parameter>",
        "xml",
    ),
    "minimax_m2": Writer(
        _xml(
            ("<minimax:tool_call>\n", "</minimax:tool_call>"),
            ('<invoke name="NAME">\n', "</invoke>\n"),
            ('<parameter name="KEY">', "</parameter>\n"),
        ),
        "<minimax:tool_call>",
        "</parameter>",
        "xml",
    ),
    "dots": Writer(
        _xml(
            ("<dots_function_call>\n", "</dots_function_call>"),
            ('<invoke name="NAME">\n', "</invoke>\n"),
            ('<parameter name="KEY">', "</parameter>\n"),
        ),
        "<dots_function_call>",
        "</parameter>",
        "xml",
    ),
    "deepseek_v32": Writer(
        _xml(
            (f"<{_DS}function_calls>\n", f"</{_DS}function_calls>"),
            (f'<{_DS}invoke name="NAME">\n', f"</{_DS}invoke>\n"),
            (f'<{_DS}parameter name="KEY" string="STRING">', f"</{_DS}parameter>\n"),
        ),
        f"<{_DS}function_calls>",
        f"</{_DS}parameter>",
        "xml",
    ),
    "step3": Writer(
        _xml(
            ("<｜tool_calls_begin｜>", "<｜tool_calls_end｜>"),
            ('<｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="NAME">', "</steptml:invoke><｜tool_call_end｜>"),
            ('<steptml:parameter name="KEY">', "</steptml:parameter>"),
        ),
        "<｜tool_calls_begin｜>",
        "</steptml:parameter>",
        "xml",
    ),
    "minicpm5": Writer(
        _xml(
            ("", "\n"),
            ('<function name="NAME">', "</function>"),
            ('<param name="KEY">', "</param>"),
            write_value=_cdata,
            is_one_section=False,
        ),
        "",
        "</param>",
        "xml",
    ),
    "glm45": Writer(
        _xml(
            ("<tool_call>", "</tool_call>\n"),
            ("NAME\n", ""),
            ("<arg_key>KEY</arg_key>\n<arg_value>", "</arg_value>\n"),
            is_one_section=False,
        ),
        "<tool_call>",
        "</arg_value>",
        "xml",
    ),
    "hy_v3": Writer(
        _xml(
            ("<tool_calls:opensource>\n", "</tool_calls:opensource>"),
            ("<tool_call:opensource>NAME<tool_sep:opensource>\n", "</tool_call:opensource>\n"),
            (
                "<arg_key:opensource>KEY</arg_key:opensource>\n<arg_value:opensource>",
                "</arg_value:opensource>\n",
            ),
        ),
        "<tool_calls:opensource>",
        "</arg_value:opensource>",
        "xml",
    ),
    "k2_horizon": Writer(
        _xml(
            ("<ifm|tool_calls>", "</ifm|tool_calls>"),
            ("<ifm|tool_call>NAME", "</ifm|tool_call>"),
            ("<ifm|arg_key>KEY</ifm|arg_key><ifm|arg_value>", "</ifm|arg_value>"),
        ),
        "<ifm|tool_calls>",
        "</ifm|arg_value>",
        "xml",
    ),
    "minimax_m3": Writer(
        _xml(
            (f"{_NS}<tool_call>\n", f"{_NS}</tool_call>"),
            (f'{_NS}<invoke name="NAME">', f"{_NS}</invoke>\n"),
            (f"{_NS}<KEY>", f"{_NS}</KEY>"),
            write_value=_nested,
        ),
        f"{_NS}<tool_call>",
        f"{_NS}</text>",
        "tags",
    ),
    "kimi_k3": Writer(
        _xml(
            ("<|open|>tools<|sep|>", "<|close|>tools<|sep|>"),
            ('<|open|>call tool="NAME" index="NUMBER"<|sep|>', "<|close|>call<|sep|>"),
            ('<|open|>argument key="KEY"<|sep|>', "<|close|>argument<|sep|>"),
        ),
        "<|open|>tools<|sep|>",
        "<|close|>argument<|sep|>",
        "xml",
    ),
}
"""By the row of `formats.CALLS`."""
