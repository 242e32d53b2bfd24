"""Each rule about calls and results: what it changes and what it does not change."""

from dataclasses import replace

import pytest

from service.domain import CallForm, Message, TemplateTraits, Tool, ToolUse
from service.normalize import call_ids, tool_history, tools_as_text
from service.normalize.context import Context, Rule
from tests.normalize.conversations import TOOLS
from tests.normalize.settled import A, B, assistant, system, tool, user

ALL = TemplateTraits()
ANY = Context(ALL)
NO_TOOLS = Context(replace(ALL, takes_tools=False))
NO_CALLS = Context(replace(ALL, takes_calls=False))
NO_RESULTS = Context(replace(ALL, takes_results=False))
OWN_FORM = CallForm(
    written=lambda calls: f"[{', '.join(f'{call.name}({call.arguments})' for call in calls)}]", instructions="Write [f()]."
)
BARE_CALLS = Context(replace(ALL, takes_text_beside_calls=False))
ONE_CALL = Context(replace(ALL, takes_parallel_calls=False))
APART = Context(replace(ALL, takes_text_before_calls=False))
PAIRED = Context(replace(ALL, takes_unpaired_calls=False))
AT_ONCE = Context(replace(ALL, takes_late_results=False))
NAMED = Context(replace(ALL, takes_nameless_results=False))
NAMES_IN_IDS = Context(replace(ALL, shows_called_names=False))
G, NAMED_CALL = replace(A, name="g"), replace(A, id="functions.f:0")
SHORT_IDS = Context(replace(ALL, takes_any_call_id=False))

# rule, context, input, output: None if the rule changes nothing
ROWS: list[tuple[Rule, Context, tuple[Message, ...], tuple[Message, ...] | None]] = [
    (
        tools_as_text.calls_as_text,
        NO_CALLS,
        (replace(assistant("x", A, B), reasoning="hm"), tool("1", "a"), user("y")),
        (
            replace(
                assistant(
                    "x"
                    '\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
                    '\n<tool_call>\n{"name": "f", "arguments": {}}\n</tool_call>'
                ),
                reasoning="hm",
            ),
            tool("1", "a"),
            user("y"),
        ),
    ),
    (
        tools_as_text.calls_as_text,
        Context(replace(NO_CALLS.traits, call_form=OWN_FORM)),
        (assistant("", A, B), assistant("x", A)),
        (assistant("[f({}), f({})]"), assistant("x\n[f({})]")),
    ),
    (tools_as_text.calls_as_text, NO_CALLS, (user("a"), assistant("b")), None),
    (tools_as_text.calls_as_text, Context(replace(ALL, takes_tools=False, takes_results=False)), (assistant("x", A),), None),
    (
        tools_as_text.results_as_text,
        NO_RESULTS,
        (assistant("x", A), tool("1", "a"), tool("2", "b"), user("y"), tool("3", "a")),
        (
            assistant("x", A),
            user("<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"),
            user("y"),
            user("<tool_response>\n3\n</tool_response>"),
        ),
    ),
    (tools_as_text.results_as_text, NO_CALLS, (assistant("x"), tool("1", "a")), None),
    (tool_history.dangling_results, ANY, (tool("1", "a"), assistant("", A)), (user("Tool result:\n1"), assistant("", A))),
    (tool_history.dangling_results, ANY, (assistant("", A, B), user("x"), tool("2", "b"), tool("1", "a")), None),
    (
        tool_history.late_results,
        AT_ONCE,
        (user("x"), assistant("", A, B), tool("1", "b"), user("y"), tool("2", "a"), assistant("z"), tool("3", "c")),
        (user("x"), assistant("", A, B), tool("1", "b"), tool("2", "a"), user("y"), assistant("z"), tool("3", "c")),
    ),
    (tool_history.late_results, AT_ONCE, (assistant("", A), tool("1", "a"), assistant("", A), tool("2", "a")), None),
    (tool_history.late_results, AT_ONCE, (tool("1", "a"), user("x")), None),
    (tool_history.late_results, ANY, (assistant("", A), user("x"), tool("1", "a")), None),
    (tool_history.text_beside_calls, BARE_CALLS, (assistant("x", A),), (assistant("x"), assistant("", A))),
    (
        tool_history.text_beside_calls,
        BARE_CALLS,
        (replace(assistant("x", A), reasoning="hm"),),
        (replace(assistant("x"), reasoning="hm"), assistant("", A)),
    ),
    (tool_history.text_beside_calls, BARE_CALLS, (assistant("\n", A),), (assistant("", A),)),
    (tool_history.text_beside_calls, BARE_CALLS, (assistant("", A), assistant(" "), assistant("x")), None),
    (
        tool_history.text_before_calls,
        APART,
        (assistant("x"), assistant("", A), assistant("", B), assistant("y"), user("z"), assistant("", B)),
        (assistant("x"), user("..."), assistant("", A), assistant("", B), assistant("y"), user("z"), assistant("", B)),
    ),
    (tool_history.text_before_calls, ANY, (assistant("x"), assistant("", A)), None),
    (
        tool_history.paired_results,
        PAIRED,
        (user("x"), assistant("", A, B), tool("1", "b"), user("y"), assistant("", A)),
        (user("x"), assistant("", A, B), tool("1", "b"), tool("...", "a"), user("y"), assistant("", A), tool("...", "a")),
    ),
    (
        tool_history.paired_results,
        PAIRED,
        (assistant("", A), tool("1", "a"), tool("2", "a"), tool("3", "b"), assistant("x")),
        (assistant("", A), tool("1", "a"), user("Tool result:\n2"), user("Tool result:\n3"), assistant("x")),
    ),
    (
        tool_history.paired_results,
        PAIRED,
        (assistant("", A, A), tool("1", "a"), tool("2", "a")),
        (assistant("", A, replace(A, id="a-1")), tool("1", "a"), tool("2", "a-1")),
    ),
    (tool_history.paired_results, PAIRED, (user("x"), assistant("", A, B), tool("2", "b"), tool("1", "a"), user("y")), None),
    (tool_history.paired_results, ANY, (assistant("", A), user("x")), None),
    (tool_history.text_beside_calls, ANY, (assistant("x", A),), None),
    (
        tool_history.parallel_calls,
        ONE_CALL,
        (assistant("x", A, B), tool("2", "b"), tool("3", "c"), tool("1", "a"), user("y")),
        (assistant("x", A), tool("1", "a"), assistant("", B), tool("2", "b"), tool("3", "c"), user("y")),
    ),
    (
        tool_history.parallel_calls,
        ONE_CALL,
        (replace(assistant("", A, B), reasoning="hm"),),
        (replace(assistant("", A), reasoning="hm"), assistant("", B)),
    ),
    (tool_history.parallel_calls, ONE_CALL, (assistant("", A), tool("1", "a"), assistant("", B)), None),
    (tool_history.parallel_calls, ANY, (assistant("", A, B),), None),
    (
        call_ids.result_names,
        NAMED,
        (assistant("", A, replace(B, name="g")), tool("1", "b"), tool("2", "a", name="h"), tool("3", "c")),
        (assistant("", A, replace(B, name="g")), tool("1", "b", name="g"), tool("2", "a", name="h"), tool("3", "c")),
    ),
    (call_ids.result_names, ANY, (assistant("", A), tool("1", "a")), None),
    (
        call_ids.named_call_ids,
        NAMES_IN_IDS,
        (assistant("", A, B), tool("1", "b"), tool("2", "a"), assistant("", G), tool("3", "a"), tool("4", "c")),
        (
            assistant("", NAMED_CALL, replace(B, id="functions.f:1")),
            tool("1", "functions.f:1"),
            tool("2", "functions.f:0"),
            assistant("", replace(G, id="functions.g:2")),
            tool("3", "functions.g:2"),
            tool("4", "c"),
        ),
    ),
    (call_ids.named_call_ids, NAMES_IN_IDS, (assistant("", NAMED_CALL), tool("1", "functions.f:0")), None),
    (call_ids.named_call_ids, ANY, (assistant("", A), tool("1", "a")), None),
    (
        call_ids.short_call_ids,
        SHORT_IDS,
        (assistant("", A, replace(B, id="call00000")), tool("1", "a"), tool("2", "call00000"), user("x")),
        (
            assistant("", replace(A, id="call00001"), replace(B, id="call00000")),
            tool("1", "call00001"),
            tool("2", "call00000"),
            user("x"),
        ),
    ),
    (call_ids.short_call_ids, SHORT_IDS, (user("x"), assistant("", replace(A, id="AbCdEf012"))), None),
    (call_ids.short_call_ids, ANY, (assistant("", A), tool("1", "a")), None),
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
    made, *rest = tools_as_text.tools_described(without, replace(NO_TOOLS, tool_use=TOOLS))
    assert tuple(rest) == without
    assert made.role == "system"
    assert '<tools>\n{"type": "function", "function": {"name": "find_table", "description": "Finds a free table."' in made.content
    appended = tools_as_text.tools_described(beside, replace(NO_TOOLS, tool_use=TOOLS))
    assert appended == (system("s\n\n" + made.content), user("x"))


def test_a_description_says_how_the_model_itself_calls() -> None:
    context = Context(replace(NO_TOOLS.traits, call_form=OWN_FORM), TOOLS)
    (made,) = tools_as_text.tools_described((), context)
    assert made.content.endswith("</tools>\n\nWrite [f()].")


@pytest.mark.parametrize(
    "context",
    [
        NO_TOOLS,
        replace(NO_CALLS, tool_use=TOOLS),
        replace(NO_TOOLS, tool_use=replace(TOOLS, choice="none")),
        replace(ANY, tool_use=TOOLS),
    ],
)
def test_tools_are_not_described_where_they_are_shown_or_not_to_be_called(context: Context) -> None:
    assert tools_as_text.tools_described((user("x"),), context) == (user("x"),)


def test_a_tool_without_a_description_has_none() -> None:
    tools = ToolUse((Tool("f", None, {}),), "auto")
    assert '{"name": "f", "parameters": {}}' in tools_as_text.tools_described((), replace(NO_TOOLS, tool_use=tools))[0].content
