"""Runs the self-test at a start, and logs what was chosen for a model and why."""

from collections.abc import Sequence

import structlog

from service.engine.models.model_profile import ModelProfile, ModelSource, ParserSettings, with_reason
from service.engine.models.self_test import Tried, has_sample, self_test
from service.engine.models.token_texts import TokenTexts
from service.errors import StartError

_log = structlog.get_logger("firstword.model")


def tried(source: ModelSource, profile: ModelProfile, parsers: ParserSettings, texts: TokenTexts) -> ModelProfile:
    """Return the profile after the self-test of its readers, with what is not proven. Raises `StartError` if a sample fails."""
    profile = judged(profile, self_test(source, profile, texts), parsers)
    log_choice(profile)
    return profile


def judged(profile: ModelProfile, results: Sequence[Tried], parsers: ParserSettings) -> ModelProfile:
    """Return the profile with what its self-test did not prove. Raises `StartError` if a sample fails."""
    wrong = [each for each in results if not each.is_right]
    if wrong and not parsers.is_unproven_allowed:
        raise StartError(
            f"The self-test of the readers failed. {wrong[0].what}: {wrong[0].detail}. FIRSTWORD_TOOL_PARSER and "
            "FIRSTWORD_REASONING_PARSER choose other formats; FIRSTWORD_ALLOW_UNPROVEN=true serves the model anyway. "
            "`firstword model` shows all samples."
        )
    if wrong:
        return with_reason(profile, f"the self-test failed: {wrong[0].what}")
    return profile if has_sample(profile) else with_reason(profile, "there is no sample of this format")


def log_choice(profile: ModelProfile) -> None:
    """Log the formats and why they were chosen, and warn of what the operator should know."""
    tool_parser, thoughts, thinking = profile.tool_parser, profile.thoughts, profile.thinking
    _log.info(
        "model formats",
        tool_calls=tool_parser.name if tool_parser else None,
        tool_calls_why=tool_parser.why if tool_parser else "FIRSTWORD_TOOL_PARSER is none",
        thoughts=thoughts.thoughts or thoughts.engine_parser if thoughts else None,
        thoughts_why=thoughts.why if thoughts else "the model cannot think aloud, or FIRSTWORD_REASONING_PARSER is none",
        thinking_switch=thinking.switch.variable if thinking.switch else None,
        template_variables=dict(profile.variables),
    )
    if thinking.is_stuck_on:
        _log.warning("this model always thinks before it answers, so the first word of each turn will be late")
    if profile.unproven:
        _log.warning("this model's format is not proven", reason=profile.unproven)
