"""Finds out what Firstword would do with a model, as `firstword serve` does before it loads weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from service import __version__
from service.domain import PromptSettings, TemplateTraits, Thinking
from service.engine.models.model_folder import ModelFolder
from service.engine.models.model_profile import ALL_AUTO, ModelProfile, ModelSource, ParserSettings, make_profile
from service.engine.models.self_test import DELTAS, Tried, self_test
from service.engine.models.thinking import Switch, is_in_thought
from service.engine.models.token_texts import TokenTexts
from service.engine.models.trial import judged
from service.errors import StartError
from service.model_report.load_source import load_source, tokenizer_mode
from service.model_report.memory import memory_of
from service.model_report.report import (
    Effect,
    Report,
    Sample,
    SelfTest,
    Template,
    ThinkingReport,
    ThinkingSwitch,
    Thoughts,
    ToolCalls,
    Turns,
)
from service.model_report.sample_turn import sample_prompt

_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Values of OpenAI's `reasoning_effort`."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the report is made with: the settings of the service, and what the command line asks for."""

    parsers: ParserSettings
    prompts: PromptSettings
    engine_args: Mapping[str, Any]
    call_tokens: int
    gpus_gib: Sequence[float]
    """Sizes of one GPU."""
    kv_gib: float | None = None
    """Memory for the KV cache of one replica."""
    shows_prompt: bool = False


def look(folder: ModelFolder, options: Options) -> Report:
    """Return the report. A model that would be refused has a report, too, with what is known of it."""
    source = profile = refusal = None
    tried: list[Tried] | None = None
    try:
        source = load_source(folder, options.engine_args, options.prompts.chat_template)
        profile = make_profile(source, options.parsers, [options.prompts])
    except StartError as error:
        refusal = str(error)
        profile = _known(source, options) if source is not None else None
    if source is not None and profile is not None:
        tried = self_test(source, profile, TokenTexts(source.tokenizer))
        try:
            profile = judged(profile, tried, options.parsers)
        except StartError as error:
            refusal = refusal or str(error)
    return Report(
        firstword_version=__version__,
        model=folder.name,
        folder=str(folder.path),
        model_type=folder.model_type,
        tokenizer=tokenizer_mode(folder, options.engine_args),
        verdict="pass" if refusal is None else "fail",
        refusal=refusal,
        tool_calls=_tool_calls(profile) if profile else None,
        thoughts=_thoughts(profile) if profile else None,
        unproven=profile.unproven if profile else None,
        thinking=_thinking(source, profile, options.prompts) if source and profile else None,
        template=_template(source, profile) if source and profile else None,
        memory=memory_of(
            folder, options.engine_args, call_tokens=options.call_tokens, gpus_gib=options.gpus_gib, kv_gib=options.kv_gib
        ),
        self_test=_self_test(tried) if tried is not None else None,
        prompt=sample_prompt(source, profile) if options.shows_prompt and source and profile else None,
    )


def _known(source: ModelSource, options: Options) -> ModelProfile | None:
    """Return the profile of a model that is refused: with the parsers of the settings, or else with those that `auto` chooses."""
    for parsers in (options.parsers, ALL_AUTO):
        try:
            return make_profile(source, replace(parsers, is_unproven_allowed=True), [options.prompts])
        except StartError:
            continue
    return None


def _tool_calls(profile: ModelProfile) -> ToolCalls | None:
    chosen = profile.tool_parser
    if chosen is None:
        return None
    return ToolCalls(parser=chosen.name, why=chosen.why, read_by="vllm" if profile.vllm_parsers else "firstword")


def _thoughts(profile: ModelProfile) -> Thoughts | None:
    chosen = profile.thoughts
    if chosen is None:
        return None
    return Thoughts(marks=chosen.thoughts or None, engine_parser=chosen.engine_parser, why=chosen.why)


def _thinking(source: ModelSource, profile: ModelProfile, prompts: PromptSettings) -> ThinkingReport:
    thinking, switch = profile.thinking, profile.thinking.switch
    return ThinkingReport(
        can_think=thinking.can_think,
        by_default=thinking.can_think and thinking.thinks_by_default,
        switch=_switch(switch) if switch is not None else None,
        cannot_be_turned_off=thinking.is_stuck_on,
        setting=prompts.thinking or "off",
        effects=[_effect(source, profile, prompts, setting) for setting in get_args(Thinking)],
    )


def _switch(switch: Switch) -> ThinkingSwitch:
    levels = {effort: switch.at(effort) for effort in _EFFORTS}
    return ThinkingSwitch(variable=switch.variable, off=switch.off, on=switch.on, turns_off=switch.is_off, levels=levels)


def _effect(source: ModelSource, profile: ModelProfile, prompts: PromptSettings, setting: Thinking) -> Effect:
    variables = {**profile.thinking.variables(setting), **prompts.template_kwargs}
    turns: Turns = "may think" if profile.thinking.may_think(variables) else "answer"
    marks = profile.answers.thoughts
    try:
        prompt = source.render([{"role": "user", "content": "Hello"}], None, variables)
    except Exception:  # The template refuses this value. The turn's error will say so.
        prompt = ""
    if marks is not None and is_in_thought(prompt, marks):
        turns = "think"
    return Effect(setting=setting, variables=variables, turns=turns)


def _template(source: ModelSource, profile: ModelProfile) -> Template:
    traits = profile.traits
    return Template(
        source="FIRSTWORD_CHAT_TEMPLATE" if source.is_own_template else "model" if source.template else "encoder",
        traits={each.name: value for each in fields(TemplateTraits) if isinstance(value := getattr(traits, each.name), bool)},
        control_marks=sorted(traits.control_marks),
    )


def _self_test(tried: Sequence[Tried]) -> SelfTest:
    samples = [Sample(what=each.what, is_right=each.is_right, detail=each.detail) for each in tried]
    return SelfTest(tokens_per_delta=list(DELTAS), samples=samples)
