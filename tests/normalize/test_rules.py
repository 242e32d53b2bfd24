"""Each rule: what it changes and what it does not change. The names of rules that changed something, in order."""

import inspect
from dataclasses import replace
from typing import Any

import pytest

from service.domain import Message, TemplateTraits, ToolCall
from service.normalize import drafts, role_rules, tools_as_text
from service.normalize.context import Context, Rule
from service.normalize.drafts import Draft, ReadingRule
from service.normalize.messages import normalize_messages
from service.normalize.rules import READING_RULES, RULES
from service.schema.messages import CalledFunction, RefusalPart, TextPart
from tests.normalize.conversations import TOOLS, as_arrived, call, parts, say
from tests.normalize.settled import A, B, assistant, system, tool, user
from tests.support.documents import table_rows
from tests.support.factories import CANARY

TEXT = TextPart(type="text", text="text")
NO = RefusalPart(type="refusal", refusal="no")
OLD_CALL = CalledFunction(name="f", arguments="{}")
ALL = TemplateTraits()


def old_result(name: str) -> Draft:
    return Draft("function", "result", name=name)


# rule, input, output: None if the rule changes nothing
READING: list[tuple[ReadingRule, tuple[Draft, ...], tuple[Draft, ...] | None]] = [
    (drafts.developer_role, (Draft("developer", "x"),), (Draft("system", "x"),)),
    (drafts.developer_role, (Draft("system", "x"), Draft("user", "developer")), None),
    (drafts.refusal_text, (Draft("assistant", None, refusal="no"),), (Draft("assistant", "no"),)),
    (drafts.refusal_text, (Draft("assistant", "", refusal="no"),), (Draft("assistant", "no"),)),
    (drafts.refusal_text, (Draft("assistant", (NO,)),), (Draft("assistant", "no"),)),
    (
        drafts.refusal_text,
        (Draft("assistant", "text", refusal="no"),),
        (Draft("assistant", (TEXT, TextPart(type="text", text="no"))),),
    ),
    (drafts.refusal_text, (Draft("assistant", (NO, TEXT)),), (Draft("assistant", (TextPart(type="text", text="no"), TEXT)),)),
    (drafts.refusal_text, (Draft("assistant", "x", refusal=""), Draft("assistant", None), Draft("user", (TEXT,))), None),
    (drafts.content_parts, (Draft("user", (TEXT, TEXT)),), (Draft("user", "text\ntext"),)),
    (drafts.content_parts, (Draft("user", ()),), (Draft("user", ""),)),
    (drafts.content_parts, (Draft("user", " a\n\nb "), Draft("assistant", None)), None),
    (drafts.null_content, (Draft("assistant", None),), (Draft("assistant", ""),)),
    (drafts.null_content, (Draft("user", ""),), None),
    (
        drafts.function_messages,
        (Draft("assistant", None, function_call=OLD_CALL), old_result("f"), Draft("assistant", "x", function_call=OLD_CALL)),
        (
            Draft("assistant", None, tool_calls=(ToolCall("call_0", "f", "{}"),)),
            Draft("tool", "result", name="f", tool_call_id="call_0"),
            Draft("assistant", "x", tool_calls=(ToolCall("call_1", "f", "{}"),)),
        ),
    ),
    (drafts.function_messages, (old_result("f"),), (Draft("tool", "result", name="f", tool_call_id="call_0"),)),
    (
        drafts.function_messages,
        (Draft("tool", "x", tool_call_id="call_0"), old_result("f")),
        (Draft("tool", "x", tool_call_id="call_0"), Draft("tool", "result", name="f", tool_call_id="call_1")),
    ),
    (drafts.function_messages, (Draft("assistant", "x", tool_calls=(A,)), Draft("tool", "y", tool_call_id="a")), None),
    (drafts.thoughts, (Draft("assistant", "<think>\nhm\n</think>\n\nYes."),), (Draft("assistant", "Yes.", reasoning="hm"),)),
    (drafts.thoughts, (Draft("assistant", "\n<think>a</think></think>b"),), (Draft("assistant", "</think>b", reasoning="a"),)),
    (drafts.thoughts, (Draft("assistant", "<think></think>b"),), (Draft("assistant", "b"),)),
    (drafts.thoughts, (Draft("assistant", "<think>a</think>b", reasoning="z"),), (Draft("assistant", "b", reasoning="z\na"),)),
    (drafts.thoughts, (Draft("assistant", "<think>\na</think>b", reasoning="a"),), (Draft("assistant", "b", reasoning="a"),)),
    (
        drafts.thoughts,
        (Draft("assistant", "<think>a"), Draft("assistant", "a</think>b"), Draft("assistant", "a <think>b</think>")),
        None,
    ),
    (drafts.thoughts, (Draft("user", "<think>a</think>b"), Draft("assistant", None)), None),
]  # fmt: skip

NAMELESS = Context(replace(ALL, takes_names=False))
ALTERNATE = Context(replace(ALL, takes_repeated_roles=False))
ONE_SYSTEM = Context(replace(ALL, takes_late_system=False))
NO_SYSTEM = Context(replace(ALL, takes_system=False))
USER_FIRST = Context(replace(ALL, takes_assistant_first=False))
SOME_USER = Context(replace(ALL, takes_no_user=False))
USER_FIRST_WITH_TOOLS = Context(replace(ALL, takes_any_opening_with_tools=False), TOOLS)
NO_ASSISTANT_LAST = Context(replace(ALL, takes_assistant_last=False))
NO_REASONING = Context(replace(ALL, takes_reasoning=False))
ANY = Context(ALL)
WAIT = user("...")
THOUGHT = replace(assistant("a"), reasoning="hm")

# rule, context, input, output: None if the rule changes nothing
SPEECH: list[tuple[Rule, Context, tuple[Message, ...], tuple[Message, ...] | None]] = [
    (role_rules.names, NAMELESS, (user("a", "Ann"), user("b", "Ben")), (user("Ann: a"), user("Ben: b"))),
    (role_rules.names, NAMELESS, (user("a", "Ann"), user("b")), (user("Ann: a"), user("b"))),
    (role_rules.names, NAMELESS, (system("s", "x"), user("a", "Ann"), user("b", "Ann")), (system("s"), user("a"), user("b"))),
    (role_rules.names, NAMELESS, (assistant("a", name="x"), assistant("b", name="y")), (assistant("a"), assistant("b"))),
    (role_rules.names, NAMELESS, (user("a"), tool("b", "a", name="f")), None),
    (role_rules.names, ANY, (user("a", "Ann"), user("b", "Ben")), None),
    (role_rules.dropped_reasoning, NO_REASONING, (user("x"), THOUGHT), (user("x"), assistant("a"))),
    (role_rules.dropped_reasoning, ANY, (user("x"), THOUGHT), None),
    (
        role_rules.repeated_roles,
        ALTERNATE,
        (THOUGHT, assistant("b"), THOUGHT),
        (replace(assistant("a\nb\na"), reasoning="hm\nhm"),),
    ),
    (role_rules.empty_messages, NO_SYSTEM, (system(" "), user("a"), assistant("\n"), assistant("")), (user("a"),)),
    (role_rules.empty_messages, ANY, (system(""), user("a"), system(" "), assistant("")), (system(""), user("a"))),
    (role_rules.empty_messages, ANY, (user(""), user(" "), assistant("", A), tool("", "a"), assistant(" a ")), None),
    (role_rules.late_system, ONE_SYSTEM, (system("s"), user("a"), system("t")), (system("s\n\nt"), user("a"))),
    (role_rules.late_system, ONE_SYSTEM, (system("s"), system("t")), (system("s\n\nt"),)),
    (role_rules.late_system, ONE_SYSTEM, (user("a"), system("t")), (system("t"), user("a"))),
    (role_rules.late_system, NO_SYSTEM, (user("a"), system("t")), (system("t"), user("a"))),
    (role_rules.late_system, ONE_SYSTEM, (system(" s\n"), user("a")), None),
    (role_rules.late_system, ONE_SYSTEM, (user("a"),), None),
    (role_rules.late_system, ANY, (user("a"), system("t"), system("u")), None),
    (role_rules.folded_system, NO_SYSTEM, (system("s"), user("a"), user("b")), (user("s\n\na"), user("b"))),
    (role_rules.folded_system, NO_SYSTEM, (system("s"), user("")), (user("s"),)),
    (role_rules.folded_system, NO_SYSTEM, (system("s"), assistant("a")), (user("s"), assistant("a"))),
    (role_rules.folded_system, NO_SYSTEM, (system("s"),), (user("s"),)),
    (role_rules.folded_system, NO_SYSTEM, (user("a"),), None),
    (role_rules.folded_system, ANY, (system("s"), user("a")), None),
    (role_rules.opening_user, USER_FIRST, (system("s"), assistant("a")), (system("s"), WAIT, assistant("a"))),
    (role_rules.opening_user, ALTERNATE, (assistant("a"), user("b")), (WAIT, assistant("a"), user("b"))),
    (role_rules.opening_user, SOME_USER, (system("s"),), (system("s"), WAIT)),
    (role_rules.opening_user, SOME_USER, (system("s"), assistant("a")), (system("s"), WAIT, assistant("a"))),
    (role_rules.opening_user, USER_FIRST_WITH_TOOLS, (assistant("a"), user("b")), (WAIT, assistant("a"), user("b"))),
    (role_rules.opening_user, USER_FIRST_WITH_TOOLS, (system("s"),), (system("s"), WAIT)),
    (role_rules.opening_user, ANY, (), (WAIT,)),
    (role_rules.opening_user, replace(USER_FIRST_WITH_TOOLS, tool_use=None), (assistant("a"), user("b")), None),
    (role_rules.opening_user, USER_FIRST, (system("s"),), None),
    (role_rules.opening_user, USER_FIRST, (system("s"), user("a")), None),
    (role_rules.opening_user, SOME_USER, (assistant("a"), user("b")), None),
    (role_rules.opening_user, ANY, (assistant("a"),), None),
    (role_rules.repeated_roles, ALTERNATE, (user(" a"), user("b "), assistant("c")), (user(" a\nb "), assistant("c"))),
    (role_rules.repeated_roles, ALTERNATE, (user("a"), assistant("b"), assistant("c")), (user("a"), assistant("b\nc"))),
    (role_rules.repeated_roles, ALTERNATE, (user("a"), user(""), user("b")), (user("a\nb"),)),
    (role_rules.repeated_roles, ALTERNATE, (user("a"), assistant("", A), assistant("", B), tool("c", "a"), tool("d", "b")), None),
    (role_rules.repeated_roles, ANY, (user("a"), user("b")), None),
    (
        role_rules.roles_around_calls,
        ALTERNATE,
        (user("a"), assistant("", A), tool("b", "a"), user("c")),
        (user("a"), assistant("", A), tool("b", "a"), assistant("..."), user("c")),
    ),
    (
        role_rules.roles_around_calls,
        ALTERNATE,
        (user("a"), assistant("b"), assistant("", A), tool("c", "a"), assistant("d"), user("e")),
        (user("a"), assistant("", A), tool("c", "a"), assistant("b\nd"), user("e")),
    ),
    (role_rules.roles_around_calls, ALTERNATE, (user("a"), assistant("", A), tool("b", "a"), assistant("c"), user("d")), None),
    (role_rules.roles_around_calls, ANY, (user("a"), assistant("", A), tool("b", "a"), user("c")), None),
    (role_rules.closing_user, ALTERNATE, (user("a"), assistant("b")), (user("a"), assistant("b"), WAIT)),
    (role_rules.closing_user, ALTERNATE, (user("a"), assistant("", A)), None),
    (role_rules.closing_user, ALTERNATE, (user("a"), assistant("b"), user("c")), None),
    (role_rules.closing_user, ANY, (user("a"), assistant("b")), None),
    (role_rules.closing_user, NO_ASSISTANT_LAST, (user("a"), assistant("b")), (user("a"), assistant("b"), WAIT)),
    (role_rules.closing_user, NO_ASSISTANT_LAST, (user("a"), assistant("", A)), (user("a"), assistant("", A), WAIT)),
    (role_rules.closing_user, NO_ASSISTANT_LAST, (assistant("", A), tool("b", "a")), None),
    (role_rules.closing_user, NO_ASSISTANT_LAST, (), None),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "given", "made"), READING)
def test_a_reading_rule(rule: ReadingRule, given: tuple[Draft, ...], made: tuple[Draft, ...] | None) -> None:
    assert rule(given) == (given if made is None else made)


@pytest.mark.parametrize(("rule", "context", "given", "made"), SPEECH)
def test_a_rule(rule: Rule, context: Context, given: tuple[Message, ...], made: tuple[Message, ...] | None) -> None:
    assert rule(given, context) == (given if made is None else made)


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule is not tools_as_text.tools_described], ids=lambda rule: rule.__name__
)
def test_no_messages_are_no_trouble(rule: Rule) -> None:
    supported: dict[str, Any] = {
        name: False for name, field in TemplateTraits.__dataclass_fields__.items() if field.default is True
    }
    nothing_taken = TemplateTraits(**supported, control_marks=frozenset({"<s>"}))
    assert rule((), Context(nothing_taken, TOOLS)) == ((WAIT,) if rule is role_rules.opening_user else ())


@pytest.mark.parametrize(
    ("messages", "traits", "changed_by"),
    [
        ([say("user", CANARY)], ALL, ()),
        ([say("developer", CANARY), say("user", "x", name=CANARY)], ALL, ("developer_role",)),
        (
            [say("user", parts(CANARY)), say("assistant"), say("system", CANARY)],
            replace(ALL, takes_system=False),
            ("content_parts", "null_content", "empty_messages", "late_system", "folded_system"),
        ),
        (
            [say("assistant", CANARY, tool_calls=[call(CANARY, CANARY)]), say("user", CANARY)],
            replace(ALL, takes_calls=False, takes_repeated_roles=False),
            ("call_arguments", "calls_as_text", "opening_user"),
        ),
    ],
)
def test_what_a_rule_changed_is_seen_by_its_name(
    messages: list[dict[str, Any]], traits: TemplateTraits, changed_by: tuple[str, ...]
) -> None:
    assert normalize_messages(as_arrived(messages), traits, None)[1] == changed_by


def test_the_document_has_a_row_a_rule() -> None:
    def does(rule: Any) -> str:
        return " ".join((inspect.getdoc(rule) or "").split())

    assert table_rows("normalization.md") == [(f"`{rule.__name__}`", does(rule)) for rule in (*READING_RULES, *RULES)]
