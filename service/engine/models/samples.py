"""Sample outputs for the self-test: for each proven syntax, a call with arguments and one without. Written from the formats'
documentation, with the arguments of `WEATHER` and `HANG_UP`.
"""

from collections.abc import Mapping
from typing import Any

SCHEMAS: Mapping[str, Mapping[str, Any]] = {
    "get_weather": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
    "end_call": {"type": "object", "properties": {}},
}
"""The functions of the samples, with their parameters."""
WEATHER: Mapping[str, Any] = {"city": "Köln", "days": 2}
HANG_UP: Mapping[str, Any] = {}

_WEATHER_OBJECT = '{"name": "get_weather", "arguments": {"city": "Köln", "days": 2}}'
_HANG_UP_OBJECT = '{"name": "end_call", "arguments": {}}'
_OBJECTS = f"[{_WEATHER_OBJECT}, {_HANG_UP_OBJECT}]"
_ARGUMENTS = '{"city": "Köln", "days": 2}'
_PYTHON = 'get_weather(city="Köln", days=2)'


def _tagged(start: str, end: str) -> str:
    return f"{start}\n{_WEATHER_OBJECT}\n{end}\n{start}\n{_HANG_UP_OBJECT}\n{end}"


def _functions(start: str, end: str) -> str:
    parameters = "<parameter=city>\nKöln\n</parameter>\n<parameter=days>\n2\n</parameter>\n"
    return f"{start}\n<function=get_weather>\n{parameters}</function>\n{end}\n{start}\n<function=end_call>\n</function>\n{end}"


_DSML = "｜DSML｜"
_KEYS = "<arg_key>city</arg_key>\n<arg_value>Köln</arg_value>\n<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n"
_NS = "]<]minimax[>["

CALLS_WRITTEN: Mapping[str, str] = {
    "hermes": _tagged("<tool_call>", "</tool_call>"),
    "nemotron_json": f"<TOOLCALL>{_OBJECTS}</TOOLCALL>",
    "longcat": _tagged("<longcat_tool_call>", "</longcat_tool_call>"),
    "granite": f"<|tool_call|>{_OBJECTS}",
    "phi4_mini_json": f"<|tool_call|>{_OBJECTS}<|/tool_call|>",
    "hunyuan_a13b": f"<tool_calls>{_OBJECTS}</tool_calls>",
    "internlm": (
        f"<|action_start|><|plugin|>\n{_WEATHER_OBJECT}<|action_end|>\n"
        f"<|action_start|><|plugin|>\n{_HANG_UP_OBJECT}<|action_end|>"
    ),
    "apertus": f'<|tools_prefix|>[{{"get_weather": {_ARGUMENTS}}}, {{"end_call": {{}}}}]<|tools_suffix|>',
    "cohere_command3": (
        f'<|START_ACTION|>[\n    {{"tool_call_id": "0", "tool_name": "get_weather", "parameters": {_ARGUMENTS}}},\n'
        '    {"tool_call_id": "1", "tool_name": "end_call", "parameters": {}}\n]<|END_ACTION|>'
    ),
    "gigachat3": f"function call<|role_sep|>\n{_WEATHER_OBJECT}",
    "llama3_json": f'{{"name": "get_weather", "parameters": {_ARGUMENTS}}}; {{"name": "end_call", "parameters": {{}}}}',
    "xlam": _OBJECTS,
    "mistral": f"[TOOL_CALLS]get_weather[ARGS]{_ARGUMENTS}[TOOL_CALLS]end_call[ARGS]{{}}",
    "deepseek_v3": (
        f"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{_ARGUMENTS}\n```<｜tool▁call▁end｜>\n"
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>end_call\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
    ),
    "kimi_k2": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        f"{_ARGUMENTS}<|tool_call_end|><|tool_call_begin|>functions.end_call:1<|tool_call_argument_begin|>{{}}<|tool_call_end|>"
        "<|tool_calls_section_end|>"
    ),
    "harmony": (
        f"<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{_ARGUMENTS}<|call|>"
        "<|start|>assistant<|channel|>commentary to=functions.end_call <|constrain|>json<|message|>{}<|call|>"
    ),
    "pythonic": f"[{_PYTHON}, end_call()]",
    "olmo3": f"<function_calls>\n{_PYTHON}\nend_call()\n</function_calls>",
    "lfm2": f"<|tool_call_start|>[{_PYTHON}, end_call()]<|tool_call_end|>",
    "gemma4": '<|tool_call>call:get_weather{city:<|"|>Köln<|"|>,days:2}<tool_call|><|tool_call>call:end_call{}<tool_call|>',
    "functiongemma": (
        "<start_function_call>call:get_weather{city:<escape>Köln<escape>,days:2}<end_function_call>"
        "<start_function_call>call:end_call{}<end_function_call>"
    ),
    "qwen3_coder": _functions("<tool_call>", "</tool_call>"),
    "seed_oss": _functions("<seed:tool_call>", "</seed:tool_call>"),
    "minimax_m2": (
        '<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Köln</parameter>\n'
        '<parameter name="days">2</parameter>\n</invoke>\n<invoke name="end_call">\n</invoke>\n</minimax:tool_call>'
    ),
    "minimax_m3": (
        f'{_NS}<tool_call>\n{_NS}<invoke name="get_weather">{_NS}<city>Köln{_NS}</city>{_NS}<days>2{_NS}</days>{_NS}</invoke>\n'
        f'{_NS}<invoke name="end_call">{_NS}</invoke>\n{_NS}</tool_call>'
    ),
    "deepseek_v32": (
        f'<{_DSML}function_calls>\n<{_DSML}invoke name="get_weather">\n<{_DSML}parameter name="city" string="true">Köln'
        f'</{_DSML}parameter>\n<{_DSML}parameter name="days" string="false">2</{_DSML}parameter>\n</{_DSML}invoke>\n'
        f'<{_DSML}invoke name="end_call">\n</{_DSML}invoke>\n</{_DSML}function_calls>'
    ),
    "step3": (
        '<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="get_weather"><steptml:parameter '
        'name="city">Köln</steptml:parameter><steptml:parameter name="days">2</steptml:parameter></steptml:invoke>'
        '<｜tool_call_end｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="end_call"></steptml:invoke>'
        "<｜tool_call_end｜><｜tool_calls_end｜>"
    ),
    "minicpm5": (
        '<function name="get_weather"><param name="city">Köln</param><param name="days">2</param></function>'
        '<function name="end_call"></function>'
    ),
    "glm45": f"<tool_call>get_weather\n{_KEYS}</tool_call>\n<tool_call>end_call\n</tool_call>",
    "hy_v3": (
        f"<tool_calls>\n<tool_call>get_weather<tool_sep>\n{_KEYS}</tool_call>\n"
        "<tool_call>end_call<tool_sep>\n</tool_call>\n</tool_calls>"
    ),
}
"""By row of `formats.CALLS`. Formats that allow one call have only the first."""

THOUGHTS_WRITTEN: Mapping[str, tuple[str, str]] = {
    "think": ("<think>\n", "\n</think>\n\n"),
    "answer": ("<think>\n", "\n</think>\n"),
    "response": ("<think>\n", "\n</think>\n\n"),
    "seed": ("<seed:think>", "</seed:think>"),
    "mistral": ("[THINK]", "[/THINK]"),
    "gemma4": ("<|channel>thought\n", "<channel|>"),
    "cohere": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "granite": ("Here is my thought process: ", " Here is my response: "),
    "thought": ("<thought>\n", "\n</thought>\n\n"),
    "apriel": ("Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n"),
    "longcat": ("<longcat_think>\n", "\n</longcat_think>\n"),
    "minimax_m3": ("<mm:think>\n", "\n</mm:think>\n"),
    "kimi": ("◁think▷", "◁/think▷"),
    "harmony": ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
}
"""How a thought begins and ends, by row of `formats.THOUGHTS`."""
FINAL_WRITTEN: Mapping[str, tuple[str, str]] = {
    "harmony": ("<|channel|>final<|message|>", ""),
    "cohere": ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    "answer": ("<answer>\n", "\n</answer>"),
    "response": ("<response>\n", "\n</response>"),
}
"""What stands around content, where something does."""
