"""The format of a model's answers: how it marks thoughts, tool calls and content."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import regex

from service.engine.models.readers.bracket_calls import FORCED_LIST
from service.engine.models.readers.parts import Offered
from service.engine.models.readers.section import CallSyntax

_NEVER = r"(?!)"
_NO_TEXT = regex.compile(r"\?P<\w+>|\\s[?*+]|\(\?::\\w\+\)\?|:\w+(?=>)")
"""What stands between the texts of a pattern: names of groups, white space, and the suffix of each mark of some tokenizers."""


@dataclass(frozen=True)
class ThoughtMarks:
    """The marks around a thought, as regular expressions."""

    opens: str
    closes: str
    content: str = ""
    """Marks that frame content, such as `<response>`. They are not spoken."""
    is_plain_text: bool = False
    """The marks are words that anyone can say."""
    is_message: bool = False
    """Whether a content mark begins a message of its own. Two messages are separated by a line break."""


@dataclass(frozen=True)
class AnswerFormat:
    """Thoughts and calls of one model. `calls` and `thoughts` come from the tables in `formats.py`."""

    calls: tuple[CallSyntax, ...] = ()
    thoughts: ThoughtMarks | None = None
    noise: tuple[str, ...] = ()
    """Further marks that are not spoken, as regular expressions: the ends of sections, which can also stand alone."""
    has_bare_calls: bool = True
    is_forced: bool = False
    """Whether a constraint holds the answer to a call: no text of it is content."""

    @cached_property
    def content_pattern(self) -> Any:
        """Finds a mark in content: groups `call0`, `bare0`, … for the syntax; `thought`; `noise`."""
        thoughts, noise = self.thoughts, list(self.noise)
        if thoughts is not None:
            # Where content is a message, its end is among the content marks, and the next message ends a thought too.
            noise += [thoughts.content] if thoughts.is_message else [thoughts.closes, *filter(None, [thoughts.content])]
        opens = [f"(?P<thought>{thoughts.opens})"] if thoughts is not None else []
        for number, syntax in enumerate(self.calls):
            opens.append(f"(?P<call{number}>{syntax.opens or _NEVER})")
            opens += [f"(?P<bare{number}>{syntax.bare_opens})"] if syntax.bare_opens and self.has_bare_calls else []
        return regex.compile("|".join([*opens, f"(?P<noise>{'|'.join(noise) or _NEVER})"]), regex.DOTALL)

    @cached_property
    def thought_pattern(self) -> Any:
        """Finds the end of a thought: groups `close`, or `call0`, … A model can begin a call without closing its thought. Group
        `again`: a second opening mark.
        """
        closes, opens = (self.thoughts.closes, self.thoughts.opens) if self.thoughts else (_NEVER, _NEVER)
        calls = [f"(?P<call{number}>{syntax.opens or _NEVER})" for number, syntax in enumerate(self.calls)]
        return regex.compile("|".join([f"(?P<again>{opens})", f"(?P<close>{closes})", *calls]), regex.DOTALL)

    def opened(self, group: str) -> tuple[CallSyntax, bool] | None:
        """Return the syntax of the calls that begin with this group of a pattern, and whether they are bare. None: no calls."""
        kind, number = group[:4], group[4:]
        return (self.calls[int(number)], kind == "bare") if kind in ("call", "bare") else None

    def after_stray(self, syntax: CallSyntax) -> Any:
        """Return the pattern of what ends text that stands in a section of calls but is none: groups `ending` and `call0`, …"""
        calls = [f"(?P<call{number}>{each.opens or _NEVER})" for number, each in enumerate(self.calls)]
        return regex.compile("|".join([*calls, f"(?P<ending>{syntax.endings or _NEVER})"]), regex.DOTALL)

    @cached_property
    def _source(self) -> str:
        thoughts = self.thoughts
        words: list[str] = [*self.noise, *([thoughts.opens, thoughts.closes, thoughts.content] if thoughts else [])]
        for value in (value for syntax in self.calls for value in vars(syntax).values()):
            words += [word for word in (value if isinstance(value, tuple) else (value,)) if isinstance(word, str)]
        return str(_NO_TEXT.sub("", "\n".join(words)))

    def knows(self, token: str) -> bool:
        """Return whether a special token belongs to this format. Others are dropped: they are never part of an answer."""
        if any(pattern.fullmatch(token, partial=True) for pattern in (self.content_pattern, self.thought_pattern)):
            return True
        text = _NO_TEXT.sub("", token)  # Or it stands within a mark, or within a section of calls.
        return regex.escape(text) in self._source or text in self._source

    def for_turn(self, offered: Offered) -> "AnswerFormat":
        """Return the format for a turn that offers these functions."""
        if offered.forced == "list":
            return replace(self, calls=(FORCED_LIST,), is_forced=True)
        if offered.forced == "arguments":
            return replace(self, calls=(replace(FORCED_LIST, only=next(iter(offered.functions))),), is_forced=True)
        return self if offered.functions else self._without_bare_calls

    @cached_property
    def _without_bare_calls(self) -> "AnswerFormat":
        """For a turn without tools: what looks like a call without a mark is text."""
        return replace(self, has_bare_calls=False)

    @cached_property
    def without_calls(self) -> "AnswerFormat":
        """For an answer whose marks of calls are text."""
        return replace(self, calls=())
