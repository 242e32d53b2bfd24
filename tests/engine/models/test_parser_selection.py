"""The format of a model under `auto`: by its template and vocabulary, whatever its name and its folder are."""

import pytest
import regex

from service.engine.models.formats import CALLS, THOUGHTS
from service.engine.models.parser_selection import ModelFacts, choose_thoughts, choose_tool_parser
from service.engine.models.parser_verdicts import REASONING_PARSERS, TOOL_PARSERS
from service.engine.models.samples import CALLS_WRITTEN
from tests.engine.models.families import FAMILIES, family


def facts(template: str = "", model_type: str = "", name: str = "acme-voice-4b", **more: object) -> ModelFacts:
    return ModelFacts(template, frozenset(), model_type, name, **more)  # type: ignore[arg-type]


def facts_of(name: str, model_name: str) -> ModelFacts:
    of = family(name)
    return ModelFacts(of.template, of.tokens, of.facts["model_type"], model_name, shows_tools=of.expect["shows_tools"])


# Words of other formats, in the name of a model that has none of them.
@pytest.mark.parametrize("model_name", ["acme-voice-4b", "voice-decoder-8b", "hermes-llama3-qwen3-coder", "/models/llama-3/x"])
@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "xlam"])
def test_every_family_gets_its_format_whatever_its_name(name: str, model_name: str) -> None:
    of, given = family(name), facts_of(name, model_name)
    chosen, thoughts = choose_tool_parser(given), choose_thoughts(given)
    assert TOOL_PARSERS[chosen.name].syntax == TOOL_PARSERS[of.expect["tool_parser"]].syntax, chosen.why
    if of.expect["thought"] is None:  # Where the vocabulary has the marks, a thought is never spoken all the same.
        assert thoughts is None or "in the vocabulary" in thoughts.why
    else:
        assert thoughts is not None
        opening, closing = of.expect["thought"]
        row = THOUGHTS[thoughts.thoughts]
        assert regex.search(row.opens, opening), thoughts
        assert regex.search(row.closes, closing), thoughts


def test_where_only_the_name_knows_a_whole_word_of_it_counts() -> None:
    template = "{{ tools }} answer with a JSON list of calls"
    assert choose_tool_parser(facts(template, "llama", "Llama-xLAM-2-8b-fc-r")).name == "xlam"
    assert choose_tool_parser(facts(template, "llama", "relaxlamb-8b")).name == "hermes"


@pytest.mark.parametrize(
    ("given", "tools", "thoughts"),
    [
        (facts("", "transformer", is_mistral_tokenizer=True), "mistral", None),
        (facts("", "deepseek_v3", is_mistral_tokenizer=True), "mistral", None),
        (facts("", "deepseek_v32"), "deepseek_v32", "think"),
        (facts("", "deepseek_v4"), "deepseek_v4", "think"),
        (facts("", "pixtral"), "mistral", None),
        (facts("{{ messages }}", "never-heard-of", shows_tools=False), "hermes", None),
        (facts("{{ messages }}{{ tools }}", "never-heard-of"), "hermes", None),
    ],
)
def test_a_model_without_marks(given: ModelFacts, tools: str, thoughts: str | None) -> None:
    assert choose_tool_parser(given).name == tools
    chosen = choose_thoughts(given)
    assert (chosen.thoughts if chosen else None) == thoughts


def test_a_native_mistral_that_reasons() -> None:
    given = ModelFacts("", frozenset(["[THINK]", "[TOOL_CALLS]"]), "transformer", "x", is_mistral_tokenizer=True)
    thoughts = choose_thoughts(given)
    assert thoughts is not None
    assert (thoughts.thoughts, thoughts.engine_parser) == ("mistral", "mistral")


def test_each_verdict_names_a_syntax_that_exists_and_a_proven_one_has_a_sample() -> None:
    for name, verdict in TOOL_PARSERS.items():
        assert verdict.syntax is None or verdict.syntax in CALLS, name
        assert verdict.is_proven == (verdict.syntax in CALLS_WRITTEN and not verdict.reason), name
    for name, reasoning in REASONING_PARSERS.items():
        assert reasoning.thoughts is None or reasoning.thoughts in THOUGHTS, name
        assert (reasoning.thoughts is None) == bool(reasoning.reason), name


@pytest.mark.parametrize("name", FAMILIES)
def test_auto_never_picks_a_format_that_is_not_proven(name: str) -> None:
    assert TOOL_PARSERS[choose_tool_parser(facts_of(name, "x")).name].is_proven
