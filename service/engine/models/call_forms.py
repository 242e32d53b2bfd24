"""How families write tool calls, for templates that show tools but no calls, or calls but no tools. Normalization uses it."""

import json
from collections.abc import Mapping, Sequence

from service.domain import CallForm, ToolCall


def _python_calls(calls: Sequence[ToolCall]) -> str:
    def written(call: ToolCall) -> str:
        arguments = json.loads(call.arguments)
        return f"{call.name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"

    return f"<|tool_call_start|>[{', '.join(map(written, calls))}]<|tool_call_end|>"


def _objects(calls: Sequence[ToolCall]) -> str:
    return ", ".join(f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments}}}' for call in calls)


def _granite_calls(calls: Sequence[ToolCall]) -> str:
    return f"<|tool_call|>[{_objects(calls)}]"


def _deepseek_calls(calls: Sequence[ToolCall]) -> str:
    begin, sep, end = "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"
    each = "\n".join(f"{begin}function{sep}{call.name}\n```json\n{call.arguments}\n```{end}" for call in calls)
    return f"<｜tool▁calls▁begin｜>{each}<｜tool▁calls▁end｜>"


def _deepseek_31_calls(calls: Sequence[ToolCall]) -> str:
    each = "".join(f"<｜tool▁call▁begin｜>{call.name}<｜tool▁sep｜>{call.arguments}<｜tool▁call▁end｜>" for call in calls)
    return f"<｜tool▁calls▁begin｜>{each}<｜tool▁calls▁end｜>"


def _apertus_calls(calls: Sequence[ToolCall]) -> str:
    each = ", ".join(f"{{{json.dumps(call.name, ensure_ascii=False)}: {call.arguments}}}" for call in calls)
    return f"<|tools_prefix|>[{each}]<|tools_suffix|>"


def _to_call(form: str) -> str:
    return f"To call functions, answer with this, and nothing after it:\n{form}"


CALL_FORMS: Mapping[str, CallForm] = {
    "lfm2": CallForm(_python_calls, _to_call("<|tool_call_start|>[function_name(argument=value)]<|tool_call_end|>")),
    "granite": CallForm(_granite_calls, _to_call('<|tool_call|>[{"name": <function name>, "arguments": <object of arguments>}]')),
    "deepseek_v3": CallForm(
        _deepseek_calls,
        _to_call(
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜><function name>\n"
            "```json\n<object of arguments>\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        ),
    ),
    "deepseek_v31": CallForm(
        _deepseek_31_calls,
        _to_call(
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜><function name><｜tool▁sep｜><object of arguments><｜tool▁call▁end｜>"
            "<｜tool▁calls▁end｜>"
        ),
    ),
    "apertus": CallForm(_apertus_calls, _to_call("<|tools_prefix|>[{<function name>: <object of arguments>}]<|tools_suffix|>")),
}
"""By the name of vLLM's tool parser. Others are written in Hermes' form."""
