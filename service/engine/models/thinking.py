"""Whether a model thinks before it speaks, and the variable of its chat template that decides it. Found out by rendering."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import regex

from service.domain import Thinking
from service.engine.models.readers.format import ThoughtMarks

Render = Callable[[Mapping[str, Any]], str]
"""Variables of the template -> the prompt of a short conversation. Raises what the template raises."""

_BOOLEANS = ("enable_thinking", "thinking", "reasoning")
ALIASES = frozenset(_BOOLEANS)
"""Names of one switch. vLLM's encoders take several of them, and one that is true wins."""
_EFFORTS = ("none", "no_think", "minimal", "low", "medium", "high", "xhigh", "max")
"""From the least to the most."""
_NO_THOUGHT = ("none", "no_think")


@dataclass(frozen=True, slots=True)
class Switch:
    """The variable of a chat template that turns thoughts on and off."""

    variable: str
    off: Any
    """The value for no thoughts, or for the least there is."""
    on: Any
    is_off: bool = True
    """False if `off` only makes thoughts shorter."""
    levels: Mapping[str, Any] = field(default_factory=dict)
    """Values of the variable for OpenAI's `reasoning_effort`. Where a level is missing, it is `on`."""

    def at(self, effort: str) -> Any:
        """Return the value for a `reasoning_effort`. `none` and `minimal` are off, or the least there is."""
        return self.off if effort in ("none", "minimal") else self.levels.get(effort, self.on)


@dataclass(frozen=True, slots=True)
class ThinkingTraits:
    """What a template does about thoughts."""

    switch: Switch | None = None
    thinks_by_default: bool = False
    """Whether a turn may think if no variable is set."""
    can_think: bool = False
    """Whether the template can open a thought, or shows the model how to."""
    effort: Switch | None = None
    """A second variable: how much to think, where the switch only turns thoughts on."""

    @property
    def is_stuck_on(self) -> bool:
        """Thoughts cannot be turned off: the first word is always late."""
        return self.can_think and self.thinks_by_default and (self.switch is None or not self.switch.is_off)

    def variables(self, thinking: Thinking) -> Mapping[str, Any]:
        """Return the template's variables for a setting."""
        if self.switch is None or thinking == "auto":
            return {}
        return {self.switch.variable: self.switch.off if thinking == "off" else self.switch.on}

    def asked(self, effort: str) -> Mapping[str, Any]:
        """Return the template's variables for a request's `reasoning_effort`."""
        if self.switch is None:
            return {}
        variables = {self.switch.variable: self.switch.at(effort)}
        if self.effort is not None and effort not in ("none", "minimal"):
            variables[self.effort.variable] = self.effort.at(effort)
        return variables

    def may_think(self, variables: Mapping[str, Any]) -> bool:
        """Return whether a turn with these variables may begin with a thought that its prompt does not open."""
        if self.switch is None or self.switch.variable not in variables:
            return self.can_think and self.thinks_by_default
        return self.can_think and not (self.switch.is_off and variables[self.switch.variable] == self.switch.off)


def probe_thinking(render: Render, template: str, thoughts: ThoughtMarks | None) -> ThinkingTraits:
    """Find the switch by rendering a conversation with and without each variable. `template` is its source, or empty."""
    if thoughts is None:
        return ThinkingTraits()
    default = _try(render, {})
    switch = _boolean(render, template) or _named(render, template) or _effort(render, template)
    effort = None
    if switch is not None and switch.variable != "reasoning_effort":
        on = {switch.variable: switch.on}
        effort = _effort(lambda variables: render({**on, **variables}), template)
    if default is None or is_in_thought(default, thoughts):
        return ThinkingTraits(switch, thinks_by_default=True, can_think=True, effort=effort)
    if switch is None:
        # Without a template, as for Mistral's tokenizers, only a system message can ask for thoughts.
        # A template that only takes thoughts out of the history does not show the model how to open one.
        can_think = regex.search(thoughts.opens, template) is not None
        return ThinkingTraits(
            None, thinks_by_default=can_think and not _has_closed_thought(default, thoughts), can_think=can_think
        )
    by_default = default != _try(render, {switch.variable: switch.off})
    return ThinkingTraits(switch, thinks_by_default=by_default or not switch.is_off, can_think=True, effort=effort)


def is_in_thought(prompt_end: str, thoughts: ThoughtMarks) -> bool:
    """Return whether a prompt ends inside a thought. Its last part is enough, from the last message's end."""
    opened = [match.end() for match in regex.finditer(thoughts.opens, prompt_end)]
    if not opened:
        return False
    if thoughts.is_plain_text and prompt_end[opened[-1] :].strip():
        return False  # A caller can say these words. The template's own stand at the very end.
    return not any(match.start() >= opened[-1] for match in regex.finditer(thoughts.closes, prompt_end))


def _has_closed_thought(prompt: str, thoughts: ThoughtMarks) -> bool:
    """Whether the prompt ends with the end of a thought: then the model answers at once."""
    closed = [match.end() for match in regex.finditer(thoughts.closes, prompt)]
    return bool(closed) and not prompt[closed[-1] :].strip()


def _boolean(render: Render, template: str) -> Switch | None:
    for variable in _BOOLEANS:
        if _reads(template, variable) and _differ(render, variable, False, True):
            return Switch(variable, False, True)
    return None


def _named(render: Render, template: str) -> Switch | None:
    """Switches whose values have names or are numbers."""
    modes = ("thinking_mode", "disabled", "enabled"), ("thinking_mode", "chat", "thinking"), ("thinking_budget", 0, -1)
    for variable, off, on in modes:
        if _reads(template, variable) and _differ(render, variable, off, on):
            return Switch(variable, off, on)
    return None


def _effort(render: Render, template: str) -> Switch | None:
    if not _reads(template, "reasoning_effort"):
        return None
    # A template that lists its levels refuses others, or gives them to the model as a word that it was never taught.
    listed = [level for level in _EFFORTS if not template or re.search(rf"""["']{level}["']""", template)]
    usable = [level for level in listed if _try(render, {"reasoning_effort": level}) is not None]
    if len(usable) < 2:  # Only a default is in the source: the template takes OpenAI's three levels as they are.
        common = {level for level in ("low", "medium", "high") if _try(render, {"reasoning_effort": level}) is not None}
        usable = sorted({*usable, *common}, key=_EFFORTS.index)
    if len(usable) < 2 or not _differ(render, "reasoning_effort", usable[0], usable[-1]):
        return None
    levels = {level: min(usable, key=partial(_distance, wanted=level)) for level in _EFFORTS}
    return Switch("reasoning_effort", usable[0], levels["high"], is_off=usable[0] in _NO_THOUGHT, levels=levels)


def _distance(level: str, wanted: str) -> int:
    # A level that means no thought stands for no other.
    return abs(_EFFORTS.index(level) - _EFFORTS.index(wanted)) + (10 if level in _NO_THOUGHT else 0)


def _reads(template: str, variable: str) -> bool:
    return not template or re.search(rf"\b{variable}\b", template) is not None


def _differ(render: Render, variable: str, off: Any, on: Any) -> bool:
    without, with_thoughts = _try(render, {variable: off}), _try(render, {variable: on})
    return without is not None and with_thoughts is not None and without != with_thoughts


def _try(render: Render, variables: Mapping[str, Any]) -> str | None:
    try:
        return render(variables)
    except Exception:  # A template fails in any way it likes.
        return None
