"""normalize_messages with templates of real model families: every conversation is rendered, and no content is lost."""

import random
from typing import Any

import pytest

from service.domain import Message, TemplateTraits, ToolUse
from service.normalize import control_text, tool_history
from service.normalize.context import Context
from service.normalize.messages import normalize_messages
from service.normalize.rules import RULES
from tests.normalize.conversations import CONVERSATIONS, TOOLS, as_arrived, call, parts, say, words_of
from tests.normalize.families import FAMILIES, as_offered, as_sent, family_render, family_traits

RENDER = {family: family_render(family) for family in FAMILIES}
TRAITS = {family: family_traits(family) for family in FAMILIES}
RANDOM_CONVERSATIONS = 50
# A call that is text is no call to the first of these rules, and a mark to the second.
BEFORE_CALLS_ARE_TEXT = (tool_history.dangling_results, control_text.control_text)


def prompt_of(family: str, messages: tuple[Message, ...], tool_use: ToolUse | None) -> str:
    tools = [as_offered(tool) for tool in tool_use.tools] if tool_use and TRAITS[family].takes_tools else None
    return RENDER[family](list(map(as_sent, messages)), tools)


def check_all_is_said(family: str, conversation: list[dict[str, Any]], tool_use: ToolUse | None) -> None:
    """Check that the conversation is rendered without an error, that no word is lost, and that the user's words are in order."""
    messages, _ = normalize_messages(as_arrived(conversation), TRAITS[family], tool_use)
    prompt = prompt_of(family, messages, tool_use)
    assert set(words_of(prompt)) >= set(words_of(conversation))
    said_by_users = words_of([message["content"] for message in conversation if message["role"] == "user"])
    assert [word for word in words_of(prompt) if word in said_by_users] == said_by_users
    if tool_use:
        assert [prompt.count(tool.description or tool.name) for tool in tool_use.tools] == [1] * len(tool_use.tools)


@pytest.mark.parametrize("tool_use", [None, TOOLS], ids=["no tools", "tools"])
@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_conversation_is_rendered_whole(family: str, name: str, tool_use: ToolUse | None) -> None:
    check_all_is_said(family, CONVERSATIONS[name], tool_use)


def test_there_are_six_families_and_more() -> None:
    assert {"llama3", "qwen3", "gemma3", "mistral", "phi", "smollm"} < set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_conversations_are_rendered_whole(family: str) -> None:
    chance = random.Random(family)
    for _ in range(RANDOM_CONVERSATIONS):
        check_all_is_said(family, a_conversation(chance), chance.choice([None, TOOLS]))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_rules_have_made_they_leave_alone(family: str) -> None:
    chance = random.Random(family)
    for _ in range(RANDOM_CONVERSATIONS):
        messages, _ = normalize_messages(as_arrived(a_conversation(chance)), TRAITS[family], None)
        for rule in RULES:
            if rule not in BEFORE_CALLS_ARE_TEXT or TRAITS[family].takes_calls:
                assert rule(messages, Context(TRAITS[family])) == messages, rule.__name__


@pytest.mark.parametrize("family", FAMILIES)
def test_a_conversation_the_template_takes_is_not_touched(family: str) -> None:
    """What a family's template supports reaches the template unchanged."""
    traits = TRAITS[family]
    conversation = [say("user", " said1 "), say("assistant", "said2\n"), say("user", "\tsaid3")]
    if traits.takes_system:
        conversation.insert(0, say("system", " said0 "))
    if traits.takes_calls:
        call_id = "call00000" if traits.shows_called_names else "functions.find_table:0"
        name = {} if traits.takes_nameless_results else {"name": "find_table"}
        called = say("assistant", "", tool_calls=[call(call_id, '{"guests": 2}')])
        conversation += [called, say("tool", "said4", tool_call_id=call_id, **name)]
    messages, changed_by = normalize_messages(as_arrived(conversation), traits, None)
    assert changed_by == ()
    assert [(message.role, message.content) for message in messages] == [(said["role"], said["content"]) for said in conversation]


def test_a_template_that_takes_all_gets_all_as_it_is() -> None:
    chance = random.Random(0)
    meaning = {"empty_messages", "call_arguments", "dangling_results", "opening_user"}
    for _ in range(RANDOM_CONVERSATIONS):
        _, changed_by = normalize_messages(as_arrived(a_conversation(chance)), TemplateTraits(), TOOLS)
        assert not {rule.__name__ for rule in RULES} - meaning & set(changed_by)


def a_conversation(chance: random.Random) -> list[dict[str, Any]]:
    """Return a random conversation: any roles in any order, every form of content, calls and results that match or do not."""
    numbers = iter(range(1000))
    ids = ["a", "call_0", "call00000", "call_0123456789abcdefghijklmn"]

    def text() -> str:
        return chance.choice(["said{}", " said{} ", "said{}\n\nsaid{}", '"said{}"']).format(next(numbers), next(numbers))

    def content(*also: object) -> object:
        return chance.choice([text(), text(), parts(text(), text()), "", " \n", [], *also])

    def called() -> dict[str, Any]:
        arguments = chance.choice(['{{"guests": "{}"}}', "{}", '["{}"]', ""]).format(f"said{next(numbers)}")
        return call(chance.choice(ids), arguments, name=chance.choice(["find_table", "other"]))

    def message() -> dict[str, Any]:
        role = chance.choice(["user", "user", "assistant", "assistant", "tool", "system", "developer", "function"])
        name = {"name": chance.choice(["Ann", "Ben"])} if chance.random() < 0.2 else {}
        if role == "tool":
            return say(role, content(), tool_call_id=chance.choice(ids))
        if role == "function":
            return say(role, chance.choice([text(), None]), name="find_table")
        if role != "assistant":
            return say(role, content(), **name)
        calls = [called() for _ in range(chance.choice([0, 0, 1, 2, 3]))]
        refusal = chance.choice([None, None, None, text()])
        old_call = {"function_call": {"name": "find_table", "arguments": "{}"}} if not calls and chance.random() < 0.2 else {}
        return say(role, content(None), tool_calls=calls or None, refusal=refusal, **name, **old_call)

    return [message() for _ in range(chance.randint(1, 12))]
