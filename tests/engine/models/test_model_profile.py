"""What a model is, for each family: its traits, its thoughts and their switch, and the self-test of its readers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

pytestmark = pytest.mark.needs_vllm  # It needs transformers.
pytest.importorskip("transformers")

from service.domain import PromptSettings  # noqa: E402
from service.engine.models.formats import CALLS, answer_format  # noqa: E402
from service.engine.models.model_profile import ModelProfile, ParserSettings, make_profile  # noqa: E402
from service.engine.models.parser_verdicts import REASONING_PARSERS, TOOL_PARSERS  # noqa: E402
from service.engine.models.self_test import self_test  # noqa: E402
from service.engine.models.token_texts import TokenTexts  # noqa: E402
from service.engine.models.trial import tried  # noqa: E402
from service.errors import StartError  # noqa: E402
from tests.engine.models.families import FAMILIES, family  # noqa: E402
from tests.engine.models.family_models import profile_of, source_of, tokenizer_of  # noqa: E402
from tests.support.factories import make_job  # noqa: E402


@pytest.mark.parametrize("name", FAMILIES)
def test_the_template_shows_what_the_family_shows(name: str) -> None:
    of = family(name)
    traits = profile_of(of).traits
    assert (traits.takes_tools, traits.takes_calls) == (of.expect["shows_tools"], of.expect["shows_calls"])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_switch_of_thoughts_is_found(name: str) -> None:
    expect, thinking = family(name).expect, profile_of(family(name)).thinking
    assert thinking.can_think == (expect["thought"] is not None)
    assert thinking.thinks_by_default == expect["thinks_by_default"]
    found = thinking.switch.variable if thinking.switch is not None and thinking.switch.is_off else None
    # gpt-oss has levels, and none of them is off. DeepSeek's encoders take two names for one switch.
    if expect["switch"] != "reasoning_effort" or found is not None:
        assert found == expect["switch"] or {found, expect["switch"]} == {"enable_thinking", "thinking"}
    assert thinking.is_stuck_on == (expect["thinks_by_default"] and found is None)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_readers_pass_their_self_test(name: str) -> None:
    of = family(name)
    results = self_test(source_of(of), profile_of(of), TokenTexts(tokenizer_of(of)))
    assert len(results) >= 2
    assert [each for each in results if not each.is_right] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_off_by_default_and_never_on_for_none_or_minimal(name: str) -> None:
    """The prompt of a turn is what counts: it is the same as with thoughts off."""
    of = family(name)
    profile, source = profile_of(of), source_of(of)

    def prompt(**job: Any) -> str:
        return source.render([{"role": "user", "content": "Hello"}], None, profile.variables_of(make_job(**job)))

    quiet = prompt()
    assert prompt(reasoning_effort="none") == prompt(reasoning_effort="minimal") == quiet
    switch = profile.thinking.switch
    if switch is None:
        assert prompt(reasoning_effort="high") == quiet
        return
    assert prompt(reasoning_effort="high") != quiet
    # The request's own variable wins over its effort.
    assert prompt(reasoning_effort="high", template_kwargs={switch.variable: switch.off}) == quiet


def test_precedence_of_thinking() -> None:
    source = source_of(family("qwen3"))

    def variables(*prompts: PromptSettings, **job: Any) -> Any:
        return dict(make_profile(source, ParserSettings(), prompts).variables_of(make_job(**job)))

    off, on, auto = (PromptSettings(thinking=value) for value in ("off", "on", "auto"))
    assert variables(off) == {"enable_thinking": False}
    assert variables(auto) == {}
    assert variables(off, on) == {"enable_thinking": True}  # An adapter's setting wins.
    assert variables(on, auto) == {}
    assert variables(off, PromptSettings()) == {"enable_thinking": False}
    assert variables(replace(off, template_kwargs={"enable_thinking": True, "x": 1})) == {"enable_thinking": True, "x": 1}
    assert variables(off, reasoning_effort="low") == {"enable_thinking": True}
    assert variables(on, reasoning_effort="minimal") == {"enable_thinking": False}
    asked = {"enable_thinking": False, "y": 2}
    assert variables(on, reasoning_effort="high", template_kwargs=asked) == asked


def test_a_variable_that_would_replace_the_messages_is_refused() -> None:
    with pytest.raises(StartError, match="FIRSTWORD_TEMPLATE_KWARGS must not have messages"):
        make_profile(source_of(family("qwen3")), ParserSettings(), [PromptSettings(template_kwargs={"messages": []})])


def with_hermes(profile: ModelProfile) -> ModelProfile:
    assert profile.tool_parser is not None
    return replace(
        profile, tool_parser=replace(profile.tool_parser, name="hermes"), answers=answer_format([CALLS["hermes"]], None)
    )


def test_a_reader_that_cannot_read_what_the_template_writes_is_refused() -> None:
    of = family("mistral_v11")
    profile = with_hermes(profile_of(of))
    with pytest.raises(StartError, match="self-test"):
        tried(source_of(of), profile, ParserSettings(), TokenTexts(tokenizer_of(of)))
    insisting = tried(source_of(of), profile, ParserSettings(is_unproven_allowed=True), TokenTexts(tokenizer_of(of)))
    assert insisting.unproven is not None


@pytest.mark.parametrize("name", [name for name, verdict in TOOL_PARSERS.items() if not verdict.is_proven])
def test_a_tool_parser_that_is_not_proven_is_refused_when_it_is_named(name: str) -> None:
    source = source_of(family("qwen3"))
    with pytest.raises(StartError, match="FIRSTWORD_ALLOW_UNPROVEN") as refused:
        make_profile(source, ParserSettings(tool=name), [])
    assert TOOL_PARSERS[name].reason in str(refused.value)
    insisted = make_profile(source, ParserSettings(tool=name, is_unproven_allowed=True), [])
    assert insisted.unproven == TOOL_PARSERS[name].reason
    assert (insisted.vllm_parsers is not None) == (TOOL_PARSERS[name].syntax is None)


@pytest.mark.parametrize("name", [name for name, verdict in REASONING_PARSERS.items() if verdict.thoughts is None])
def test_a_reasoning_parser_that_is_not_proven_is_refused_when_it_is_named(name: str) -> None:
    source = source_of(family("qwen3"))
    with pytest.raises(StartError, match="FIRSTWORD_ALLOW_UNPROVEN"):
        make_profile(source, ParserSettings(reasoning=name), [])
    assert make_profile(source, ParserSettings(reasoning=name, is_unproven_allowed=True), []).unproven


@pytest.mark.parametrize("settings", [ParserSettings(tool="hermess"), ParserSettings(reasoning="qwen33")])
def test_an_unknown_name_is_refused_with_the_nearest(settings: ParserSettings) -> None:
    with pytest.raises(StartError, match="did you mean"):
        make_profile(source_of(family("qwen3")), settings, [])


def failing(error: Exception) -> Callable[..., str]:
    def render(*given: Any) -> str:
        raise error

    return render


def test_a_model_without_a_template_says_which_setting_has_one() -> None:
    source = replace(source_of(family("qwen3")), template="", render=failing(ValueError("no chat template")))
    with pytest.raises(StartError, match=r"has no chat template\. FIRSTWORD_CHAT_TEMPLATE"):
        make_profile(source, ParserSettings(), [])


def test_a_template_that_always_fails_says_how() -> None:
    source = replace(source_of(family("qwen3")), render=failing(TypeError("bad filter")))
    with pytest.raises(StartError, match="cannot render a single user message: TypeError: bad filter"):
        make_profile(source, ParserSettings(), [])
