"""probe_traits: what each family's template supports, found out by rendering."""

from collections.abc import Sequence
from typing import Any

import pytest

from service.domain import TemplateTraits
from service.engine.models.template_traits import probe_traits
from tests.normalize.families import FAMILIES, family_render, template_render

NO_TOOLS = {
    "takes_tools": False,
    "takes_any_opening_with_tools": False,
    "takes_parallel_calls": False,
    "takes_text_beside_calls": False,
    "takes_any_call_id": False,
}
ALTERNATING = {
    "takes_late_system": False,
    "takes_repeated_roles": False,
    "takes_assistant_first": False,
    "takes_no_user": False,
}
EXPECTED = {
    "gemma2": TemplateTraits(takes_system=False, takes_names=False, **ALTERNATING, **NO_TOOLS),
    "gemma3": TemplateTraits(takes_names=False, **ALTERNATING, **NO_TOOLS),
    "llama3": TemplateTraits(
        takes_names=False, takes_any_opening_with_tools=False, takes_parallel_calls=False, takes_text_beside_calls=False
    ),
    "mistral": TemplateTraits(
        takes_system=False,  # The template shows it only if the last message is the user's.
        takes_names=False,
        takes_any_opening_with_tools=False,
        takes_text_beside_calls=False,
        takes_any_call_id=False,
        **ALTERNATING,
    ),
    "phi": TemplateTraits(takes_names=False, **NO_TOOLS),
    "qwen3": TemplateTraits(takes_names=False),
    "qwen3_5": TemplateTraits(
        takes_late_system=False, takes_names=False, takes_no_user=False, takes_any_opening_with_tools=False
    ),
    "smollm": TemplateTraits(takes_names=False, **NO_TOOLS),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family(family: str) -> None:
    assert probe_traits(family_render(family)) == EXPECTED[family]


def test_a_template_that_shows_all_takes_all() -> None:
    assert probe_traits(lambda messages, tools: f"{tools} {messages}") == TemplateTraits()


def test_a_template_that_shows_only_the_user_takes_nothing() -> None:
    def render(messages: Sequence[dict[str, Any]], tools: object) -> str:
        assert len(messages) == 1
        assert messages[0]["role"] == "user"
        return str(messages[0]["content"])

    assert probe_traits(render) == TemplateTraits(takes_system=False, takes_names=False, **ALTERNATING, **NO_TOOLS)


def test_a_template_that_renders_nothing_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        probe_traits(template_render("{{ 1 // 0 }}"))


def test_a_role_that_is_taken_for_the_users_is_not_taken() -> None:
    traits = probe_traits(template_render("{% for message in messages %}{{ message.content }}\n{% endfor %}"))
    assert traits.takes_repeated_roles
    assert not traits.takes_assistant_first
