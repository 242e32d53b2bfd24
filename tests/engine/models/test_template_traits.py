"""probe_traits: what each family's template supports, found out by rendering."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest

from service.domain import TemplateTraits
from service.engine.models.probe_messages import ANSWER, ENOUGH, HELLO, MORE, SYSTEM, say
from service.engine.models.template_traits import probe_traits
from service.normalize.messages import normalize_messages
from tests.normalize.conversations import as_arrived
from tests.normalize.families import FIXTURES, as_sent, description, family_render, template_render

NO_TOOLS: dict[str, Any] = {
    "takes_tools": False,
    "takes_calls": False,
    "takes_results": False,
    "takes_reasoning": False,
    "takes_any_opening_with_tools": False,
    "takes_parallel_calls": False,
    "takes_text_beside_calls": False,
    "takes_any_call_id": False,
}
ALTERNATING: dict[str, Any] = {
    "takes_late_system": False,
    "takes_repeated_roles": False,
    "takes_assistant_first": False,
    "takes_no_user": False,
}
EXPECTED = {
    "gemma2": TemplateTraits(takes_system=False, takes_names=False, **ALTERNATING, **NO_TOOLS),
    "gemma3": TemplateTraits(takes_names=False, **ALTERNATING, **NO_TOOLS),
    "llama3": TemplateTraits(
        takes_names=False,
        takes_reasoning=False,
        takes_any_opening_with_tools=False,
        takes_parallel_calls=False,
        takes_text_beside_calls=False,
    ),
    "mistral": TemplateTraits(
        takes_system=False,  # The template shows it only if the last message is the user's, not after results.
        takes_names=False,
        takes_reasoning=False,
        takes_any_opening_with_tools=False,
        takes_text_beside_calls=False,
        takes_any_call_id=False,
        takes_late_results=False,  # It accepts two user messages in a row only with an answer between them.
        **ALTERNATING,
    ),
    "phi": TemplateTraits(takes_names=False, **NO_TOOLS),
    "qwen3": TemplateTraits(takes_names=False),
    "qwen3_5": TemplateTraits(
        takes_late_system=False,
        takes_names=False,
        takes_no_user=False,
        takes_reasoning=False,
        takes_any_opening_with_tools=False,
    ),
    "smollm": TemplateTraits(takes_names=False, **NO_TOOLS),
}


# What a template of the models' fixtures does not take beyond names.
TAKES_NOT: dict[str, set[str]] = {
    "lfm2": {"calls", "reasoning", "parallel_calls", "text_beside_calls"},
    "granite33": {"calls", "reasoning", "parallel_calls", "text_beside_calls"},
    "deepseek_v3": {"tools", "reasoning", "any_opening_with_tools"},
    "qwen3_thinking": set(),
    "kimi_k2_thinking": {"called_names"},
    "functiongemma": {"reasoning", "nameless_results"},
    "minimax_m2": {"late_system", "late_results"},
}
# These add the arguments of a call to a text, which vLLM's own objects cannot do and `JsonObject`s can.
WANT_JSON_TEXT = {"deepseek_r1", "deepseek_r1_distill_qwen", "deepseek_v3", "deepseek_v31", "apertus_shipped"}


def bare(traits: TemplateTraits) -> TemplateTraits:
    return replace(traits, control_marks=frozenset())


@pytest.mark.parametrize("family", EXPECTED)
def test_a_family(family: str) -> None:
    assert bare(probe_traits(family_render(family))) == EXPECTED[family]


@pytest.mark.parametrize("model", TAKES_NOT)
def test_a_models_template(model: str) -> None:
    traits = asdict(probe_traits(family_render(f"models/{model}")))
    taken_not = {name.split("_", 1)[1] for name, is_taken in traits.items() if is_taken is False}
    assert taken_not - {"names"} == TAKES_NOT[model]


@pytest.mark.parametrize("family", FIXTURES)
def test_whether_a_model_shows_tools_and_whether_it_shows_calls(family: str) -> None:
    expected, model = description(family)["expect"], family.removeprefix("models/")
    traits = probe_traits(family_render(family))
    assert (traits.takes_tools, traits.takes_calls) == (
        expected["shows_tools"],
        expected["shows_calls"] or model in WANT_JSON_TEXT,
    )


@pytest.mark.parametrize(
    "end", [[], [say("user", MORE)], [say("user", MORE), say("assistant", ENOUGH)]], ids=["answered", "asked", "answered again"]
)
def test_whether_a_system_message_is_taken_does_not_hang_on_an_end_with_the_assistant(end: list[dict[str, Any]]) -> None:
    """mistral-common refuses such an end."""

    def render(messages: Sequence[dict[str, Any]], tools: object) -> str:
        assert messages[-1]["role"] != "assistant"
        return f"{tools} {messages}"

    traits = probe_traits(render)
    assert bare(traits) == TemplateTraits(takes_assistant_last=False)
    said = [say("system", SYSTEM), say("user", HELLO), say("assistant", ANSWER), *end]
    messages, _ = normalize_messages(as_arrived(said), traits, None)
    assert all(message["content"] in render(list(map(as_sent, messages)), None) for message in said)


def test_a_role_that_the_template_shows_as_any_other_is_no_result() -> None:
    """The model has never seen such a role. It knows the role if the template wraps it, or shows tools."""
    shown = "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}"
    assert not probe_traits(template_render(shown)).takes_results
    assert probe_traits(template_render("{{ tools }}" + shown)).takes_results
    assert probe_traits(
        template_render(shown.replace("message.role }}", "message.role }}{{ '|' if message.role == 'tool' }}"))
    ).takes_results


def test_marks_that_only_a_prompt_shows_are_found() -> None:
    source = "{% for message in messages %}{{ '<|' ~ message.role ~ '|>' ~ message.content }}{% endfor %}"
    marks = probe_traits(template_render(source), control_marks=frozenset({"<s>"})).control_marks
    assert marks == {"<s>", "<|user|>", "<|assistant|>", "<|system|>", "<|tool|>"}


def test_a_template_that_shows_all_takes_all() -> None:
    assert bare(probe_traits(lambda messages, tools: f"{tools} {messages}")) == TemplateTraits()


def test_a_template_that_shows_only_the_user_takes_nothing() -> None:
    def render(messages: Sequence[dict[str, Any]], tools: object) -> str:
        assert len(messages) == 1
        assert messages[0]["role"] == "user"
        return str(messages[0]["content"])

    taken_not: dict[str, Any] = {"takes_system": False, "takes_names": False, "takes_assistant_last": False}
    assert probe_traits(render) == TemplateTraits(**taken_not, **ALTERNATING, **NO_TOOLS)


def test_a_template_that_renders_nothing_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        probe_traits(template_render("{{ 1 // 0 }}"))


def test_a_role_that_is_taken_for_the_users_is_not_taken() -> None:
    traits = probe_traits(template_render("{% for message in messages %}{{ message.content }}\n{% endfor %}"))
    assert traits.takes_repeated_roles
    assert not traits.takes_assistant_first
