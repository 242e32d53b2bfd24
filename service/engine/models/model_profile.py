"""What a model is, found out before its weights are loaded: its formats, its template's traits, and how it thinks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.domain import ChatJob, PromptSettings, TemplateTraits
from service.engine.models.call_forms import CALL_FORMS
from service.engine.models.control_marks import added_and_special_tokens, control_marks
from service.engine.models.formats import CALLS, answer_format
from service.engine.models.parser_selection import Chosen, ChosenThoughts, ModelFacts, choose_thoughts, choose_tool_parser
from service.engine.models.parser_verdicts import REASONING_PARSERS, TOOL_PARSERS
from service.engine.models.probe_messages import tool_round
from service.engine.models.readers.format import AnswerFormat
from service.engine.models.template_traits import probe_traits
from service.engine.models.template_variables import RENDERERS_OWN
from service.engine.models.thinking import ALIASES, ThinkingTraits, probe_thinking
from service.errors import StartError, did_you_mean

AUTO, NONE = "auto", "none"
Said = dict[str, Any]
Render = Callable[[list[Said], list[Said] | None, Mapping[str, Any]], str]
"""(messages, tools, variables of the template) -> the prompt. Raises what the template raises."""


@dataclass(frozen=True, slots=True)
class ParserSettings:
    """The operator's settings about parsers. The names are those of vLLM's parsers, `auto` or `none`."""

    tool: str = AUTO
    reasoning: str = AUTO
    is_unproven_allowed: bool = False


ALL_AUTO = ParserSettings()


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model's tokenizer, its template and what its configuration says of it."""

    tokenizer: Any
    template: str
    """Source of the chat template. Empty if the tokenizer renders without one."""
    render: Render
    model_type: str
    name: str
    is_mistral_tokenizer: bool = False
    is_own_template: bool = False
    """The template is the operator's, not the model's."""


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """All that depends on the model's family. An adapter with a chat template of its own has its own profile."""

    tool_parser: Chosen | None
    """None: the operator turned tool calls off, and their markup is content."""
    thoughts: ChosenThoughts | None
    answers: AnswerFormat
    structural_tag: str | None
    """vLLM's grammar for forced calls. None: they are held to JSON."""
    unproven: str | None
    """Why the reader of this format is not proven. None: it is."""
    vllm_parsers: tuple[str | None, str | None] | None
    """vLLM's tool parser and reasoning parser, where only they can read this format."""
    thinking: ThinkingTraits
    traits: TemplateTraits
    variables: Mapping[str, Any]
    """The template's variables that the settings give to each turn."""

    def variables_of(self, job: ChatJob) -> Mapping[str, Any]:
        """Return the template's variables of a turn: the request's own, then its `reasoning_effort`, then the settings."""
        own = job.template_kwargs or {}
        ours = {**self.variables, **(self.thinking.asked(job.reasoning_effort) if job.reasoning_effort else {})}
        if ALIASES & own.keys():
            ours = {name: value for name, value in ours.items() if name not in ALIASES}
        return {**ours, **own}


def make_profile(source: ModelSource, parsers: ParserSettings, prompts: Sequence[PromptSettings]) -> ModelProfile:
    """Find out what a model is. Raises `StartError`.

    Of `prompts`, the later win: first those of the service, then an adapter's.
    """
    added, special = added_and_special_tokens(source.tokenizer)
    marks = control_marks(added, special, source.template)
    traits = _probe(source, marks)
    facts = ModelFacts(
        source.template,
        added | special,
        source.model_type,
        source.name,
        shows_tools=traits.takes_tools,
        is_mistral_tokenizer=source.is_mistral_tokenizer,
        rendered=_rendered_call(source) if traits.takes_calls else "",
    )
    tool_parser, thoughts = _tool_parser(facts, parsers), _thoughts(facts, parsers)
    verdict = TOOL_PARSERS[tool_parser.name] if tool_parser is not None else None
    syntaxes = [CALLS[verdict.syntax]] if verdict is not None and verdict.syntax is not None else []
    traits = replace(traits, call_form=CALL_FORMS.get(tool_parser.name) if tool_parser is not None else None)
    is_written = not (traits.takes_tools and traits.takes_calls) and traits.call_form is None
    if syntaxes and CALLS["hermes"] not in syntaxes and is_written:
        syntaxes.append(CALLS["hermes"])  # Normalization writes tools or calls in this form, so the model may answer in it.
    answers = answer_format(syntaxes, (thoughts.thoughts or None) if thoughts is not None else None)

    def render(variables: Mapping[str, Any]) -> str:
        return source.render([{"role": "user", "content": "Hello"}], None, variables)

    thinking = probe_thinking(render, source.template, answers.thoughts)
    is_vllms = (verdict is not None and verdict.syntax is None) or (thoughts is not None and not thoughts.thoughts)
    if source.model_type == "gpt_oss":  # vLLM renders it with an encoder of its own, which shows all of these.
        traits = replace(traits, takes_reasoning=True, takes_text_beside_calls=True, takes_parallel_calls=True)
    return ModelProfile(
        tool_parser=tool_parser,
        thoughts=thoughts,
        answers=answers,
        structural_tag=verdict.structural_tag if verdict is not None else None,
        unproven=_unproven(tool_parser, thoughts),
        vllm_parsers=_vllms(tool_parser, thoughts) if is_vllms else None,
        thinking=thinking,
        traits=traits,
        variables=_variables(thinking, prompts),
    )


def _vllms(tool_parser: Chosen | None, thoughts: ChosenThoughts | None) -> tuple[str | None, str | None]:
    return tool_parser.name if tool_parser else None, thoughts.engine_parser if thoughts else None


def _variables(thinking: ThinkingTraits, prompts: Sequence[PromptSettings]) -> Mapping[str, Any]:
    if wrong := sorted({name for prompt in prompts for name in prompt.template_kwargs} & RENDERERS_OWN):
        raise StartError(f"FIRSTWORD_TEMPLATE_KWARGS must not have {wrong[0]}: the service sets it itself.")
    variables: dict[str, Any] = {}
    for prompt in prompts:
        variables |= thinking.variables(prompt.thinking) if prompt.thinking is not None else {}
        if prompt.thinking == "auto" and thinking.switch is not None:
            variables.pop(thinking.switch.variable, None)
        variables |= prompt.template_kwargs
    return variables


def _probe(source: ModelSource, marks: frozenset[str]) -> TemplateTraits:
    try:
        return probe_traits(lambda messages, tools: source.render(messages, tools, {}), control_marks=marks)
    except Exception as error:
        if not source.template and not source.is_mistral_tokenizer:
            raise StartError(
                f"The tokenizer of {source.name} has no chat template. FIRSTWORD_CHAT_TEMPLATE names a file with one."
            ) from None
        raise StartError(
            f"The chat template of {source.name} cannot render a single user message: {type(error).__name__}: {error}. "
            "FIRSTWORD_CHAT_TEMPLATE names a file with another one."
        ) from None


def _rendered_call(source: ModelSource) -> str:
    try:
        return source.render(tool_round(), None, {})
    except Exception:  # The probe found a conversation with a call that it renders, but not this one.
        return ""


def _tool_parser(facts: ModelFacts, parsers: ParserSettings) -> Chosen | None:
    if parsers.tool == NONE:
        return None
    chosen = choose_tool_parser(facts)
    if parsers.tool != AUTO:
        _check_known("FIRSTWORD_TOOL_PARSER", parsers.tool, TOOL_PARSERS)
        chosen = Chosen(parsers.tool, "FIRSTWORD_TOOL_PARSER")
    verdict = TOOL_PARSERS[chosen.name]
    if not verdict.is_proven and not parsers.is_unproven_allowed:
        raise StartError(_refusal("FIRSTWORD_TOOL_PARSER", f"tool calls in the format {chosen.name}", chosen.why, verdict.reason))
    return chosen


def _thoughts(facts: ModelFacts, parsers: ParserSettings) -> ChosenThoughts | None:
    if parsers.reasoning == NONE:
        return None
    if parsers.reasoning == AUTO:
        return choose_thoughts(facts)
    _check_known("FIRSTWORD_REASONING_PARSER", parsers.reasoning, REASONING_PARSERS)
    verdict = REASONING_PARSERS[parsers.reasoning]
    why = "FIRSTWORD_REASONING_PARSER"
    if verdict.thoughts is None and not parsers.is_unproven_allowed:
        raise StartError(_refusal(why, f"thoughts in the format {parsers.reasoning}", why, verdict.reason))
    return ChosenThoughts(verdict.thoughts or "", parsers.reasoning, why)


def _check_known(variable: str, name: str, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise StartError(
            f"{variable} must be one of auto, none, {', '.join(sorted(known))}; given: {name!r}{did_you_mean(name, known)}"
        )


def _refusal(variable: str, what: str, why: str, reason: str) -> str:
    return (
        f"{variable}: {what} (chosen by: {why}) are not proven here: {reason}. docs/models.md lists the formats. "
        "FIRSTWORD_ALLOW_UNPROVEN=true serves the model anyway."
    )


def _unproven(tool_parser: Chosen | None, thoughts: ChosenThoughts | None) -> str | None:
    if tool_parser is not None and not (verdict := TOOL_PARSERS[tool_parser.name]).is_proven:
        return verdict.reason
    if tool_parser is not None and tool_parser.is_guess:
        return "the chat template shows tools, but not how this model calls them; it is read in Hermes' form"
    if thoughts is not None and not thoughts.thoughts and thoughts.engine_parser is not None:
        return REASONING_PARSERS[thoughts.engine_parser].reason
    return None


def with_reason(profile: ModelProfile, reason: str) -> ModelProfile:
    """Return the profile of a model whose format has no sample to prove it with."""
    return replace(profile, unproven=profile.unproven or reason)
