"""Rules for templates that cannot show tools, calls or results. These are then written as text.

The text has the form of the model's own output if that is known (`TemplateTraits.call_form`). Otherwise it has the form of Hermes
and Qwen.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, groupby

from service.domain import CallForm, Message, Tool, ToolCall
from service.normalize.context import Context, Messages, joined


def _hermes_calls(calls: Sequence[ToolCall]) -> str:
    return "\n".join(
        f'<tool_call>\n{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments}}}\n</tool_call>'
        for call in calls
    )


HERMES = CallForm(
    written=_hermes_calls,
    instructions="""\
To call a function, answer with a JSON object of its name and arguments within <tool_call></tool_call>:
<tool_call>
{"name": <function name>, "arguments": <object of arguments>}
</tool_call>""",
)


def tools_described(messages: Messages, context: Context) -> Messages:
    """Applies if the template cannot show tools, except with `tool_choice: "none"`. The tools are described at the end of the
    system message that opens the conversation, in the `<tools>` form of Hermes and Qwen, with the form of the model's own calls
    if it is known. If there is no system message, one is added.
    """
    tool_use = context.tool_use
    if context.traits.takes_tools or not tool_use or tool_use.choice == "none":
        return messages
    form = context.traits.call_form or HERMES
    description = _TOOLS_TEXT.format(tools="\n".join(map(_tool_json, tool_use.tools)), instructions=form.instructions)
    if messages and messages[0].role == "system":
        return replace(messages[0], content=joined((messages[0].content, description), "\n\n")), *messages[1:]
    return Message("system", description), *messages


_TOOLS_TEXT = """\
# Tools

You can call functions to help the user. Their signatures, as JSON, are within <tools></tools>:
<tools>
{tools}
</tools>

{instructions}"""


def _tool_json(tool: Tool) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    shown = {key: value for key, value in function.items() if value is not None}
    return json.dumps({"type": "function", "function": shown}, ensure_ascii=False)


def calls_as_text(messages: Messages, context: Context) -> Messages:
    """Applies if the template cannot show calls. A call is written at the end of the assistant's content, in the form of the
    model's own calls if it is known, or else as `<tool_call>`.
    """
    if context.traits.takes_calls:
        return messages
    form = context.traits.call_form or HERMES
    return tuple(_with_calls_in_text(message, form) if message.tool_calls else message for message in messages)


def _with_calls_in_text(message: Message, form: CallForm) -> Message:
    return replace(message, content=joined((message.content, form.written(message.tool_calls)), "\n"), tool_calls=())


def results_as_text(messages: Messages, context: Context) -> Messages:
    """Applies if the template cannot show results of calls. They become a user message with `<tool_response>`; results in a row
    share one message.
    """
    if context.traits.takes_results:
        return messages
    return tuple(
        chain.from_iterable(
            (_results_as_text(run),) if role == "tool" else run
            for role, run in groupby(messages, key=lambda message: message.role)
        )
    )


def _results_as_text(run: Iterator[Message]) -> Message:
    return Message("user", "\n".join(f"<tool_response>\n{message.content}\n</tool_response>" for message in run))
