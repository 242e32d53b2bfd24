"""What a chat template can take, found out by rendering tiny conversations: its source can't be read for that, only tried."""

from collections.abc import Callable
from functools import partial

from service.domain import TemplateTraits
from service.engine.models.control_marks import marks_in
from service.engine.models.probe_messages import (
    ANSWER,
    ENOUGH,
    HELLO,
    KEY,
    LATE,
    LONG_IDS,
    MORE,
    NAME,
    NAMED_IDS,
    RESULTS,
    SHORT_IDS,
    SYSTEM,
    THOUGHT,
    TINY_IDS,
    TOOL,
    TOOLS,
    UNKNOWN_ROLE,
    VALUES,
    Ids,
    Said,
    reasoning,
    result_alone,
    say,
    tool_round,
)

Render = Callable[[list[Said], list[Said] | None], str]
"""(messages, tools) -> the prompt, or whatever the template raises."""


def probe_traits(render: Render, *, control_marks: frozenset[str] = frozenset()) -> TemplateTraits:
    """Find out what a template supports. `control_marks` are known already; those in the rendered prompts are added.

    Raises what `render` raises if not even a single user message is rendered.
    """
    render([say("user", HELLO)], None)
    probe = _Probe(render)
    takes_repeated_roles = probe.takes_repeated_roles()
    tools = TOOLS if probe.takes_tools() else None
    takes_calls = probe.takes_calls(tools)
    takes_results = takes_calls or (takes_repeated_roles and probe.takes_results(tools))
    takes_parallel_calls = takes_calls and probe.shows(probe.round(calls=2), *VALUES, *RESULTS)
    takes_system = probe.takes_system(tools, calls=takes_calls)
    takes_assistant_last = probe.takes_assistant_last(takes_system, tools)
    return TemplateTraits(
        takes_system=takes_system,
        takes_late_system=takes_system and probe.takes_late_system(),
        takes_names=probe.shows([say("user", HELLO, name=NAME)], NAME),
        takes_repeated_roles=takes_repeated_roles,
        takes_assistant_first=probe.takes_assistant_first(calls=takes_calls),
        takes_no_user=probe.takes_no_user(takes_system, takes_assistant_last),
        takes_assistant_last=takes_assistant_last,
        takes_tools=tools is not None,
        takes_calls=takes_calls,
        takes_results=takes_results,
        takes_reasoning=probe.takes_reasoning(takes_calls),
        takes_any_opening_with_tools=tools is not None and probe.takes_any_opening_with_tools(takes_system),
        takes_parallel_calls=takes_parallel_calls,
        takes_text_beside_calls=takes_calls and probe.takes_text_beside_calls(),
        takes_text_before_calls=not takes_calls
        or probe.shows([_HELLO, _ANSWER, *probe.round()[1:]], ANSWER, VALUES[0], RESULTS[0]),
        takes_unpaired_calls=not takes_calls or probe.takes_unpaired_calls(parallel=takes_parallel_calls),
        takes_any_call_id=takes_results and probe.takes_any_call_id(calls=takes_calls),
        shows_called_names=probe.ids != NAMED_IDS,
        takes_nameless_results=not probe.are_results_named,
        takes_late_results=not takes_results or probe.takes_late_results(calls=takes_calls),
        control_marks=control_marks | probe.marks,
    )


class _Probe:
    """Questions to one template."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self.ids: Ids = SHORT_IDS
        self.are_results_named = False
        self.marks: frozenset[str] = frozenset()
        """Marks in the prompts so far. They need not stand in the template's source, which may have `"<|" + role + "|>"`."""

    @property
    def round(self) -> Callable[..., list[Said]]:
        """`tool_round` in the form that `takes_calls` has found."""
        return partial(tool_round, ids=self.ids, are_results_named=self.are_results_named)

    def shows(self, messages: list[Said], *words: str, tools: list[Said] | None = None) -> bool:
        """Renders, with all of the words in this order."""
        prompt = self._try(messages, tools)
        if prompt is None:
            return False
        at = 0
        for word in words:
            at = prompt.find(word, at)
            if at < 0:
                return False
            at += len(word)
        return True

    def _try(self, messages: list[Said], tools: list[Said] | None) -> str | None:
        try:
            prompt = self._render(messages, tools)
        except Exception:  # A template fails in any way it likes.
            return None
        self.marks |= {mark for mark in marks_in(prompt) if not any(word in mark for word in (TOOL, KEY, UNKNOWN_ROLE))}
        return prompt

    def takes_system(self, tools: list[Said] | None, *, calls: bool) -> bool:
        # Also where results came last: Mistral shows the system message only beside a last user message.
        ends = [[_HELLO], [_HELLO, _ANSWER, _MORE], *([self.round()] if calls else [])]
        return all(self.shows([_SYSTEM, *end], SYSTEM, tools=tools) for end in ends)

    def takes_late_system(self) -> bool:
        late = say("system", LATE)
        cases = [[_SYSTEM, late, _HELLO], [_SYSTEM, _HELLO, _ANSWER, late, _MORE], [_SYSTEM, _HELLO, late]]
        return all(self.shows(case, SYSTEM) and self.shows(case, LATE) for case in cases) and self.shows([_HELLO, late], LATE)

    def takes_repeated_roles(self) -> bool:
        enough = say("assistant", ENOUGH)
        in_a_row = [_HELLO, _ANSWER, enough, _MORE]
        return self.shows([_HELLO, _MORE], HELLO, MORE) and self.shows(in_a_row, HELLO, ANSWER, ENOUGH, MORE)

    def takes_opening(self, messages: list[Said], *words: str, tools: list[Said] | None = None) -> bool:
        """Shows the words, and who said the first of them."""
        as_user = [{**message, "role": "user"} if message["role"] == "assistant" else message for message in messages]
        return self.shows(messages, *words, tools=tools) and self._try(messages, tools) != self._try(as_user, tools)

    def takes_no_user(self, takes_system: bool, takes_assistant_last: bool) -> bool:
        if not takes_assistant_last:  # Then a user message is added after an assistant's.
            return takes_system and self.shows([_SYSTEM], SYSTEM)
        lone = _SYSTEM if takes_system else say("assistant", SYSTEM)
        return self.shows([lone], SYSTEM) and self.shows([lone, _ANSWER], SYSTEM, ANSWER)

    def takes_assistant_last(self, takes_system: bool, tools: list[Said] | None) -> bool:
        said = [*([_SYSTEM] if takes_system else []), _HELLO, _ANSWER]
        words = [message["content"] for message in said]
        if tools and not (self.shows(said, *words, tools=tools) and self.shows(said, TOOL, tools=tools)):
            return False
        return self.shows(said, *words)

    def takes_tools(self) -> bool:
        return all(self.shows(case, TOOL, tools=TOOLS) for case in ([_HELLO], [_HELLO, _ANSWER, _MORE]))

    def takes_calls(self, tools: list[Said] | None) -> bool:
        """Sets the form of the calls and results that the template takes."""
        for self.ids, self.are_results_named in _CALL_FORMS:
            if self._takes_round(self.round(), tools):
                return True
        self.ids, self.are_results_named = _CALL_FORMS[0]
        return False

    def _takes_round(self, called: list[Said], tools: list[Said] | None) -> bool:
        # Without tools too: functions that were called before may not be offered any more.
        words = (HELLO, TOOL, VALUES[0], RESULTS[0])
        return all(
            self.shows(called, *words, tools=offered)
            and self.shows([*called, _ANSWER, _MORE], *words, ANSWER, MORE, tools=offered)
            for offered in (None, tools)
        )

    def takes_text_beside_calls(self) -> bool:
        called = self.round(text=ANSWER)
        later = [*called, say("assistant", ENOUGH), _MORE]  # gpt-oss drops the text once there is an answer.
        return self.shows(called, ANSWER, VALUES[0]) and self.shows(later, ANSWER, VALUES[0], ENOUGH)

    def takes_assistant_first(self, *, calls: bool) -> bool:
        called = [*self.round()[1:], _ANSWER, _MORE]
        return self.takes_opening(_ASSISTANT_FIRST, ANSWER, HELLO) and (not calls or self.shows(called, VALUES[0], ANSWER, MORE))

    def takes_unpaired_calls(self, *, parallel: bool) -> bool:
        end = [say("assistant", ENOUGH), _MORE]
        question, called, result = self.round()
        *two, first, second = self.round(calls=2)
        answered_twice = [question, called, result, second | {"tool_call_id": result["tool_call_id"]}, *end]
        cases = [[question, called, *end], answered_twice, *([[*two, first, *end]] if parallel else [])]
        return all(self.shows(case, VALUES[0], ENOUGH, MORE) for case in cases)

    def takes_late_results(self, *, calls: bool) -> bool:
        question, called, result = self.round() if calls else [_HELLO, say("assistant", VALUES[0]), say("tool", RESULTS[0])]
        between = ([_MORE], [_ANSWER], [_ANSWER, _MORE])
        return all(self.shows([question, called, *said, result], VALUES[0], RESULTS[0]) for said in between)

    def takes_results(self, tools: list[Said] | None) -> bool:
        """Knows the role `tool`: shows tools as well, or treats this role in another way than a role that nobody knows."""
        if not self.shows(result_alone("tool"), HELLO, ANSWER, RESULTS[0], MORE):
            return False
        unknown = self._try(result_alone(UNKNOWN_ROLE), None)
        is_as_unknown = unknown is not None and unknown.replace(UNKNOWN_ROLE, "tool") == self._try(result_alone("tool"), None)
        return bool(tools) or not is_as_unknown

    def takes_reasoning(self, takes_calls: bool) -> bool:
        if takes_calls:
            return self.shows(self.round(thought=THOUGHT), THOUGHT)
        return self.shows([_HELLO, _ANSWER | reasoning(THOUGHT), _MORE], THOUGHT)

    def takes_any_call_id(self, *, calls: bool) -> bool:
        values = VALUES[:1] if calls else ()
        return all(self.shows(self.round(ids=ids), *values, RESULTS[0]) for ids in (LONG_IDS, TINY_IDS))

    def takes_any_opening_with_tools(self, takes_system: bool) -> bool:
        lone = [_SYSTEM] if takes_system else [_ANSWER]
        return self.shows(lone, TOOL, tools=TOOLS) and self.takes_opening(_ASSISTANT_FIRST, ANSWER, HELLO, tools=TOOLS)


_SYSTEM, _HELLO, _ANSWER, _MORE = say("system", SYSTEM), say("user", HELLO), say("assistant", ANSWER), say("user", MORE)
_ASSISTANT_FIRST = [_ANSWER, _HELLO]
_CALL_FORMS: tuple[tuple[Ids, bool], ...] = ((SHORT_IDS, False), (SHORT_IDS, True), (NAMED_IDS, False))
"""IDs of calls, and whether results have the function's name. The first that a template shows whole is taken."""
