"""Each rule about calls and results: what it changes and what it does not change."""

from dataclasses import replace

import pytest

from service.domain import Message, TemplateTraits, Tool, ToolUse
from service.normalize import tool_history
from service.normalize.context import Context, Rule
from tests.normalize.conversations import TOOLS
from tests.normalize.settled import A, B, assistant, system, tool, user

ALL = TemplateTraits()
ANY = Context(ALL)
NO_TOOLS = Context(replace(ALL, takes_tools=False))
BARE_CALLS = Context(replace(ALL, takes_text_beside_calls=False))
ONE_CALL = Context(replace(ALL, takes_parallel_calls=False))
SHORT_IDS = Context(replace(ALL, takes_any_call_id=False))

# rule, context, input, output: None if the rule changes nothing
ROWS: list[tuple[Rule, Context, tuple[Message, ...], tuple[Message, ...] | None]] = [
    (
        tool_history.calls_as_text,
        NO_TOOLS,
        (assistant("x", A, B), tool("1", "a"), tool("2", "b"), user("y")),
        (
            assistant(
                "x"
                '\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
                '\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
            ),
            user("<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"),
            user("y"),
        ),
    ),
    (tool_history.calls_as_text, NO_TOOLS, (user("a"), assistant("b")), None),
    (tool_history.calls_as_text, ANY, (assistant("x", A), tool("1", "a")), None),
    (tool_history.dangling_results, ANY, (tool("1", "a"), assistant("", A)), (user("Tool result:\n1"), assistant("", A))),
    (tool_history.dangling_results, ANY, (assistant("", A, B), user("x"), tool("2", "b"), tool("1", "a")), None),
    (tool_history.text_beside_calls, BARE_CALLS, (assistant("x", A),), (assistant("x"), assistant("", A))),
    (tool_history.text_beside_calls, BARE_CALLS, (assistant("", A), assistant("x"), assistant(" ", B)), None),
    (tool_history.text_beside_calls, ANY, (assistant("x", A),), None),
    (
        tool_history.parallel_calls,
        ONE_CALL,
        (assistant("x", A, B), tool("2", "b"), tool("3", "c"), tool("1", "a"), user("y")),
        (assistant("x", A), tool("1", "a"), assistant("", B), tool("2", "b"), tool("3", "c"), user("y")),
    ),
    (tool_history.parallel_calls, ONE_CALL, (assistant("", A), tool("1", "a"), assistant("", B)), None),
    (tool_history.parallel_calls, ANY, (assistant("", A, B),), None),
    (
        tool_history.short_call_ids,
        SHORT_IDS,
        (assistant("", A, replace(B, id="call00000")), tool("1", "a"), tool("2", "call00000"), user("x")),
        (
            assistant("", replace(A, id="call00001"), replace(B, id="call00000")),
            tool("1", "call00001"),
            tool("2", "call00000"),
            user("x"),
        ),
    ),
    (tool_history.short_call_ids, SHORT_IDS, (user("x"), assistant("", replace(A, id="AbCdEf012"))), None),
    (tool_history.short_call_ids, ANY, (assistant("", A), tool("1", "a")), None),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "context", "given", "made"), ROWS)
def test_a_rule(rule: Rule, context: Context, given: tuple[Message, ...], made: tuple[Message, ...] | None) -> None:
    assert rule(given, context) == (given if made is None else made)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("", "{}"),
        (" \n", "{}"),
        ('["x"]', '{"input": ["x"]}'),
        ("null", '{"input": null}'),
        ("not json", '{"input": "not json"}'),
        ('{"x": ', '{"input": "{\\"x\\": "}'),
        ("[" * 65 + "]" * 65, '{"input": "' + "[" * 65 + "]" * 65 + '"}'),
        ("[" * 100_000, '{"input": "' + "[" * 100_000 + '"}'),
        ("1" * 5000, '{"input": "' + "1" * 5000 + '"}'),
        ('{"x": "\\ud83d"}', '{"x": "\ufffd"}'),
        ('{"x": "\\ud83d\\ude00"}', None),
        (' {"x": 1,\n"y": [{"z": "\\n"}]} ', None),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_arguments_become_an_object(given: str, made: str | None) -> None:
    messages = (user("x"), assistant("", replace(A, arguments=given)))
    changed = tool_history.call_arguments(messages, ANY)
    assert changed == (user("x"), assistant("", replace(A, arguments=given if made is None else made)))


def test_tools_are_described_where_the_template_cannot_show_them() -> None:
    without, beside = ((user("x"),), (system("s"), user("x")))
    made, *rest = tool_history.tools_described(without, replace(NO_TOOLS, tool_use=TOOLS))
    assert tuple(rest) == without
    assert made.role == "system"
    assert '<tools>\n{"type": "function", "function": {"name": "find_table", "description": "Finds a free table."' in made.content
    appended = tool_history.tools_described(beside, replace(NO_TOOLS, tool_use=TOOLS))
    assert appended == (system("s\n\n" + made.content), user("x"))


@pytest.mark.parametrize(
    "context", [NO_TOOLS, replace(NO_TOOLS, tool_use=replace(TOOLS, choice="none")), replace(ANY, tool_use=TOOLS)]
)
def test_tools_are_not_described_where_they_are_shown_or_not_to_be_called(context: Context) -> None:
    assert tool_history.tools_described((user("x"),), context) == (user("x"),)


def test_a_tool_without_a_description_has_none() -> None:
    tools = ToolUse((Tool("f", None, {}),), "auto")
    assert '{"name": "f", "parameters": {}}' in tool_history.tools_described((), replace(NO_TOOLS, tool_use=tools))[0].content
