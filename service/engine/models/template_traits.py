"""What a chat template can take, found out by rendering tiny conversations: its source can't be read for that, only tried."""

from collections.abc import Callable
from typing import Any

from service.domain import TemplateTraits

Render = Callable[[list[dict[str, Any]], list[dict[str, Any]] | None], str]
"""(messages, tools) -> the prompt, or whatever the template raises. Arguments of calls are objects, as vLLM gives them to it."""

Said = dict[str, Any]

# Words that no template says by itself.
_SYSTEM, _LATE = "zsystemz", "zlatez"
_HELLO, _ANSWER, _MORE, _ENOUGH = "zhelloz", "zanswerz", "zmorez", "zenoughz"
_NAME, _TOOL, _VALUES, _RESULTS = "znamez", "ztoolz", ("zvaluez", "zothervaluez"), ("zresultz", "zotherresultz")
_IDS = ("call00000", "call00001")  # Mistral's form, which all take.
_LONG_IDS, _TINY_IDS = ("call_0123456789abcdefABCDEF", "call_1123456789abcdefABCDEF"), ("a", "b")
_TOOLS: list[Said] = [
    {
        "type": "function",
        "function": {
            "name": _TOOL,
            "description": "A probe.",
            "parameters": {
                "type": "object",
                "properties": {"x": {"type": "string", "description": "A word."}},
                "required": ["x"],
            },
        },
    }
]


def probe_traits(render: Render) -> TemplateTraits:
    """Raises what `render` raises where not even a lone user message is rendered."""
    render([_say("user", _HELLO)], None)
    probe = _Probe(render)
    takes_tools = probe.takes_tools()
    takes_system = probe.takes_system(tools=_TOOLS if takes_tools else None)
    return TemplateTraits(
        takes_system=takes_system,
        takes_late_system=takes_system and probe.takes_late_system(),
        takes_names=probe.shows([_say("user", _HELLO, name=_NAME)], _NAME),
        takes_repeated_roles=probe.takes_repeated_roles(),
        takes_assistant_first=probe.takes_opening(_ASSISTANT_FIRST, _ANSWER, _HELLO),
        takes_no_user=probe.takes_no_user(takes_system),
        takes_tools=takes_tools,
        takes_any_opening_with_tools=takes_tools and probe.takes_any_opening_with_tools(takes_system),
        takes_parallel_calls=takes_tools and probe.shows(_round(calls=2), _TOOL, *_VALUES, *_RESULTS),
        takes_text_beside_calls=takes_tools and probe.shows(_round(text=_ANSWER), _ANSWER, _VALUES[0]),
        takes_any_call_id=takes_tools and probe.takes_any_call_id(),
    )


class _Probe:
    """Questions to one template."""

    def __init__(self, render: Render) -> None:
        self._render = render

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
            return self._render(messages, tools)
        except Exception:  # A template fails in any way it likes.
            return None

    def takes_system(self, tools: list[Said] | None) -> bool:
        # Also where the user did not speak last: Mistral shows the system message only beside a last user message.
        hello, answer, more = _say("user", _HELLO), _say("assistant", _ANSWER), _say("user", _MORE)
        ends = [[hello], [hello, answer], [hello, answer, more], *([_round()] if tools else [])]
        return all(self.shows([_say("system", _SYSTEM), *end], _SYSTEM, tools=tools) for end in ends)

    def takes_late_system(self) -> bool:
        first, late = _say("system", _SYSTEM), _say("system", _LATE)
        hello, answer, more = _say("user", _HELLO), _say("assistant", _ANSWER), _say("user", _MORE)
        cases = [[first, late, hello], [first, hello, answer, late, more], [first, hello, late]]
        return all(self.shows(case, _SYSTEM) and self.shows(case, _LATE) for case in cases) and self.shows([hello, late], _LATE)

    def takes_repeated_roles(self) -> bool:
        hello, more = _say("user", _HELLO), _say("user", _MORE)
        answers = _say("assistant", _ANSWER), _say("assistant", _ENOUGH)
        return self.shows([hello, more], _HELLO, _MORE) and self.shows([hello, *answers, more], _HELLO, _ANSWER, _ENOUGH, _MORE)

    def takes_opening(self, messages: list[Said], *words: str, tools: list[Said] | None = None) -> bool:
        """Shows the words, and who said the first of them."""
        as_user = [{**message, "role": "user"} if message["role"] == "assistant" else message for message in messages]
        return self.shows(messages, *words, tools=tools) and self._try(messages, tools) != self._try(as_user, tools)

    def takes_no_user(self, takes_system: bool) -> bool:
        lone = _say("system", _SYSTEM) if takes_system else _say("assistant", _SYSTEM)
        return self.shows([lone], _SYSTEM) and self.shows([lone, _say("assistant", _ANSWER)], _SYSTEM, _ANSWER)

    def takes_tools(self) -> bool:
        hello, thanks = _say("user", _HELLO), [_say("assistant", _ANSWER), _say("user", _MORE)]
        history = [*_round(), *thanks]
        return (
            self.shows([hello], _TOOL, tools=_TOOLS)
            and self.shows(
                history, _HELLO, _TOOL, _VALUES[0], _RESULTS[0], _ANSWER, _MORE
            )  # No longer offered, yet called before.
            and self.shows(_round(), _VALUES[0], _RESULTS[0], tools=_TOOLS)
            and self.shows(history, _VALUES[0], _RESULTS[0], _ANSWER, _MORE, tools=_TOOLS)
        )

    def takes_any_call_id(self) -> bool:
        return all(self.shows(_round(ids=ids), _VALUES[0], _RESULTS[0]) for ids in (_LONG_IDS, _TINY_IDS))

    def takes_any_opening_with_tools(self, takes_system: bool) -> bool:
        lone = [_say("system", _SYSTEM)] if takes_system else [_say("assistant", _ANSWER)]
        return self.shows(lone, _TOOL, tools=_TOOLS) and self.takes_opening(_ASSISTANT_FIRST, _ANSWER, _HELLO, tools=_TOOLS)


def _say(role: str, content: str, **fields: Any) -> Said:
    return {"role": role, "content": content, **fields}


def _round(*, calls: int = 1, text: str = "", ids: tuple[str, ...] = _IDS) -> list[Said]:
    """A question, calls and their results."""
    made = [
        {"id": call_id, "type": "function", "function": {"name": _TOOL, "arguments": {"x": value}}}
        for call_id, value in zip(ids, _VALUES, strict=True)
    ]
    results = [_say("tool", result, tool_call_id=call_id) for call_id, result in zip(ids, _RESULTS, strict=True)]
    return [_say("user", _HELLO), _say("assistant", text, tool_calls=made[:calls]), *results[:calls]]


_ASSISTANT_FIRST = [_say("assistant", _ANSWER), _say("user", _HELLO)]
