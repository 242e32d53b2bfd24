"""The tables of formats: one row for each syntax of tool calls and for each pair of marks around thoughts.

A row is made of regular expressions for the marks. Rows are named after vLLM's parser of the same syntax, where there is one.
From the families' documented formats and chat templates, and from vLLM 0.32's parsers.
"""

from collections.abc import Mapping, Sequence

from service.engine.models.readers.bracket_calls import BracketCalls
from service.engine.models.readers.format import AnswerFormat, ThoughtMarks
from service.engine.models.readers.mixed_calls import MixedCalls
from service.engine.models.readers.section import CallSyntax
from service.engine.models.readers.values import gemma_arguments, python_arguments
from service.engine.models.readers.xml_calls import XmlCalls


def _tags(opens: str, *closes: str, **more: object) -> BracketCalls:
    """JSON objects of name and arguments, or a list of them, between marks. The JSON can be in a code block."""
    junk = r"```(?:json)?(?=[\s{\[<])"
    return BracketCalls(opens=opens, closes=closes, **{"junk": junk, **more})  # type: ignore[arg-type]


_PYTHON_NAME = r"[A-Za-z_][\w.]{0,99}"


def _python(opens: str, *closes: str, bare_opens: str = "") -> BracketCalls:
    """Python calls, one a line or in a list."""
    return BracketCalls(
        opens=opens,
        bare_opens=bare_opens,
        closes=closes,
        header=rf"(?P<name>{_PYTHON_NAME})\s*(?=\()",
        brackets="(",
        parse=python_arguments,
        parse_cut=python_arguments,
        is_object_allowed=False,
    )


def _gemma(opens: str, closes: str, mark: str) -> BracketCalls:
    parse = gemma_arguments(mark)
    return BracketCalls(
        opens=opens,
        closes=(closes,),
        header=r"(?:call)?:?\s*(?P<name>[\w.\-]+)\s*(?=[{(])",
        brackets="{(",
        quotes=(mark,),
        parse=parse,
        parse_cut=parse,
        is_object_allowed=False,
    )


def _functions(opens: str, section_end: str, *, is_framed: bool) -> XmlCalls:
    """Qwen's form: `<function=name><parameter=key>value</parameter></function>`."""
    return XmlCalls(
        opens=opens,
        call=r"""<function=["']?(?P<name>[^>"']{1,99}?)["']?\s*>""",
        parameter=r"""<parameter=["']?(?P<key>[^>"']{1,99})["']?>""",
        parameter_end="</parameter>",
        call_end="</function>",
        section_end=section_end,
        is_framed=is_framed,
    )


def _invokes(opens: str, section_end: str, *, prefix: str = "") -> XmlCalls:
    """Tags with the names in attributes: `<invoke name="…"><parameter name="…">value</parameter></invoke>`."""
    return XmlCalls(
        opens=opens,
        call=rf"""<{prefix}invoke\s+name=["']?(?P<name>[^"'>]{{1,99}})["']?\s*>""",
        parameter=rf"""<{prefix}parameter\s{{1,9}}name=["']?(?P<key>[^"'>]{{1,99}})["']?(?:\s{{1,9}}string="(?P<string>true|false)")?\s{{0,9}}>""",
        parameter_end=rf"</{prefix}parameter>",
        call_end=rf"</{prefix}invoke>",
        section_end=section_end,
    )


_NS = r"\]<\]minimax\[>\["
_DSML = r"｜DSML｜\s?"
_SUFFIX = r"(?::\w+)?"


def _keys(opens: str, section_end: str = "", *, call_opens: str = "", prefix: str = "") -> XmlCalls:
    """GLM's form: `name<arg_key>key</arg_key><arg_value>value</arg_value>`."""
    arg_key, arg_value = f"{prefix}arg_key{_SUFFIX}", f"{prefix}arg_value{_SUFFIX}"
    call_end = f"</{prefix}tool_call{_SUFFIX}>"
    kind = rf"(?:<{prefix}arg_type>[^<]{{1,99}}</{prefix}arg_type>\s{{0,9}})?"
    return XmlCalls(
        opens=opens,
        call=rf"{call_opens}\s*(?P<name>[\w.\-]+)\s*(?:<tool_sep{_SUFFIX}>\s*)?(?=<{arg_key}>|{call_end})",
        parameter=rf"<{arg_key}>(?P<key>[^<]{{1,99}})</{arg_key}>\s{{0,9}}{kind}<{arg_value}>",
        parameter_end=f"</{arg_value}>",
        call_end=call_end,
        section_end=section_end,
    )


_NAMED_JSON = r"""(?=(?:\[\s{0,9})?\{\s{0,9}["'](?:name|type|function|parameters|arguments|id)["']\s{0,9}:)"""
_DEEPSEEK = BracketCalls(
    opens=r"<｜tool▁calls▁begin｜>|(?=<｜tool▁call▁begin｜>)",
    closes=("<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"),
    ends=("<｜tool▁calls▁end｜>",),
    # V3 and R1 write a type before the name, and the arguments in a code block.
    header=r"<｜tool▁call▁begin｜>\s*(?:function\s*<｜tool▁sep｜>\s*(?P<name>[^\s<`{]+)\s*(?:```(?:json)?\s*)?"
    r"|(?P<name2>[^\s<{]+)\s*<｜tool▁sep｜>\s*)(?=[{<])",
    junk="```",
)

# What models write between `<tool_call>` tags, whatever they were taught.
_JSON = _tags("<tool_call>", "</tool_call>")
_FUNCTIONS = _functions("<tool_call>|(?=<function=)", "</tool_call>", is_framed=True)

CALLS: Mapping[str, CallSyntax] = {
    # JSON between tags, or after a mark.
    "hermes": MixedCalls(_JSON, (("<function=", _FUNCTIONS),)),
    "nemotron_json": _tags("<TOOLCALL>", "</TOOLCALL>"),
    "longcat": _tags("<longcat_tool_call>", "</longcat_tool_call>"),
    "granite": _tags(r"<\|tool_call\|>|<tool_call>", "<|/tool_call|>", "</tool_call>"),
    "granite-20b-fc": _tags("<function_call>", "</function_call>"),
    "phi4_mini_json": _tags(r"<\|tool_call\|>|functools(?=\[)", "<|/tool_call|>"),
    "hunyuan_a13b": _tags("<tool_calls>", "</tool_calls>"),
    "internlm": _tags(r"<\|action_start\|>", "<|action_end|>", junk=r"<\|(?:plugin|interpreter)\|>"),
    "apertus": _tags(r"<\|tools_prefix\|>", "<|tools_suffix|>"),
    "cohere_command3": _tags(r"<\|START_ACTION\|>", "<|END_ACTION|>"),
    "gigachat3": _tags(r"function call<\|role_sep\|>|<\|function_call\|>", "<|message_sep|>"),
    "inkling": _tags(r"<\|content_invoke_tool_json\|>", "<|end_message|>"),
    "llama3_json": _tags(
        r"<\|python_tag\|>|(?=<function=)", "</function>", header=r"<function=(?P<name>[^>]+)>\s*", bare_opens=_NAMED_JSON
    ),
    "xlam": _tags(
        r"\[TOOL_CALLS\]|<tool_call>", "```", "</tool_call>", bare_opens=rf"```json\s{{0,9}}{_NAMED_JSON}|{_NAMED_JSON}"
    ),
    # A header with the name, then JSON.
    "mistral": BracketCalls(
        opens=r"\[TOOL_CALLS\]",
        header=r"(?P<name>[\w.\-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\]|(?=\{))",
    ),
    "deepseek_v3": _DEEPSEEK,
    "kimi_k2": BracketCalls(
        opens=r"<\|tool_calls?_section_begin\|>|(?=<\|tool_call_begin\|>)",
        closes=("<|tool_call_end|>", "<|tool_calls_section_end|>", "<|tool_call_section_end|>"),
        ends=("<|tool_calls_section_end|>", "<|tool_call_section_end|>"),
        header=r"<\|tool_call_begin\|>\s*(?:(?P<id>functions\.(?P<name>[^\s<:{]+):\d+)|(?:functions\.)?(?P<name2>[^\s<:{]+)(?::\d+)?)"
        r"\s*<\|tool_call_argument_begin\|>\s*",
    ),
    "plamo3": BracketCalls(
        opens=r"<\|plamo:begin_tool_requests:plamo\|>",
        closes=("<|plamo:end_tool_arguments:plamo|>", "<|plamo:end_tool_request:plamo|>", "<|plamo:end_tool_requests:plamo|>"),
        ends=("<|plamo:end_tool_requests:plamo|>",),
        header=r"(?:<\|plamo:begin_tool_request:plamo\|>)?\s*<\|plamo:begin_tool_name:plamo\|>(?P<name>[^<]+)"
        r"<\|plamo:end_tool_name:plamo\|>\s*<\|plamo:begin_tool_arguments:plamo\|>(?:<\|plamo:constrain\|>\w+)?<\|plamo:msg\|>",
    ),
    "harmony": BracketCalls(
        opens=r"(?=<\|channel\|>\s{0,9}\w{1,20}\s{1,9}to=)|(?=to=functions\.[\w.\-]{1,99}\s{0,9}<\|channel\|>)",
        closes=("<|call|>", "<|end|>", "<|start|>assistant"),
        header=r"(?:\s*to=(?:functions\.)?(?P<name>[\w\-]+))?\s*<\|channel\|>\s*\w+(?:\s+to=(?:functions\.)?(?P<name2>[\w.\-]+))?"
        r"\s*(?:<\|constrain\|>)?\s*\w*\s*<\|message\|>\s*",
        is_object_allowed=False,
    ),
    # Python calls.
    "pythonic": _python(r"<\|python_start\|>", "<|python_end|>", bare_opens=rf"(?=\[\s{{0,9}}{_PYTHON_NAME}\s{{0,9}}\()"),
    "olmo3": _python("<function_calls>", "</function_calls>"),
    "lfm2": _python(r"<\|tool_call_start\|>", "<|tool_call_end|>"),
    # Gemma's own form.
    "gemma4": _gemma(r"<\|tool_call>", "<tool_call|>", '<|"|>'),
    "functiongemma": _gemma("<start_function_call>", "<end_function_call>", "<escape>"),
    # A tag for each argument.
    "qwen3_coder": MixedCalls(_FUNCTIONS, (("{", _JSON), ("[", _JSON))),
    "seed_oss": _functions("<seed:tool_call>|(?=<function=)", "</seed:tool_call>", is_framed=False),
    "minimax_m2": _invokes("<minimax:tool_call>|(?=<invoke name=)", "</minimax:tool_call>"),
    "dots": _invokes("<dots_function_call>|(?=<invoke name=)", "</dots_function_call>"),
    "deepseek_v32": _invokes(
        rf"<{_DSML}(?:function_calls|tool_calls|toolcalls|calls|tool)>|(?=<{_DSML}invoke )",
        rf"</{_DSML}(?:function_calls|tool_calls|toolcalls|calls|tool)>",
        prefix=_DSML,
    ),
    "step3": XmlCalls(
        opens="<｜tool_calls_begin｜>|(?=<steptml:invoke )",
        call=r"(?:<｜tool_call_end｜>)?\s*(?:<｜tool_call_begin｜>)?\s*(?:function)?\s*(?:<｜tool_sep｜>)?\s*"
        r'<steptml:invoke name="(?P<name>[^"]{1,99})">',
        parameter=r'<steptml:parameter name="(?P<key>[^"]{1,99})">',
        parameter_end="</steptml:parameter>",
        call_end="</steptml:invoke>",
        section_end=r"(?:<｜tool_call_end｜>\s{0,9})?<｜tool_calls_end｜>",
    ),
    "minicpm5": XmlCalls(
        opens="(?=<function name=)",
        call=r'<function name="(?P<name>[^"]{1,99})">\s*(?:<arguments>)?',
        parameter=r'<param name="(?P<key>[^"]{1,99})">',
        parameter_end="</param>",
        call_end=r"(?:</arguments>\s{0,9})?</function>",
    ),
    "glm45": MixedCalls(_keys("<tool_call>"), (("{", _JSON), ("[", _JSON), ("<function=", _FUNCTIONS))),
    "hy_v3": _keys(f"<tool_calls{_SUFFIX}>", f"</tool_calls{_SUFFIX}>", call_opens=f"<tool_call{_SUFFIX}>"),
    "k2_horizon": _keys(r"<ifm\|tool_calls>", r"</ifm\|tool_calls>", call_opens=r"<ifm\|tool_call>", prefix=r"ifm\|"),
    "minimax_m3": XmlCalls(
        opens=rf"{_NS}<tool_call>|(?={_NS}<invoke name=)",
        call=rf"""{_NS}<invoke\s+name=["']?(?P<name>[^"'>]{{1,99}})["']?\s*>""",
        parameter=rf"{_NS}<(?P<key>[\w.\-]{{1,99}})>",
        parameter_end=rf"{_NS}</{{key}}>",
        call_end=rf"{_NS}</invoke>",
        section_end=rf"{_NS}</tool_call>",
        nested=_NS,
    ),
    "kimi_k3": XmlCalls(
        opens=r"<\|open\|>tools<\|sep\|>|(?=<\|open\|>call )",
        call=r'<\|open\|>call tool="(?P<name>[^"]{1,99})"[^<]*<\|sep\|>',
        parameter=r'<\|open\|>argument key="(?P<key>[^"]{1,99})"(?: type="(?P<string>\w+)")?<\|sep\|>',
        parameter_end=r"<\|close\|>argument<\|sep\|>",
        call_end=r"<\|close\|>call<\|sep\|>",
        section_end=r"<\|close\|>tools<\|sep\|>",
    ),
}
"""Syntaxes of tool calls, by name."""

# Only the final channel is spoken, and commentary without a recipient. Any other channel, and a message that the model wrote for
# somebody else, is not.
_HARMONY_SPOKEN = r"\s{0,9}(?:final\b[^<]{0,40}(?:<\|constrain\|>[^<]{0,40})?|commentary\s{0,9})<\|message\|>"
_HARMONY_HIDDEN = (
    r"<\|channel\|>"
    rf"(?!{_HARMONY_SPOKEN})(?![^<]{{0,99}}\bto=)[^<]{{0,99}}(?:<\|constrain\|>[^<]{{0,40}})?<\|message\|>"
    r"|<\|start\|>(?!assistant)[^<]{1,99}(?:<\|channel\|>[^<]{0,99})?<\|message\|>"
)
_HARMONY_CONTENT = (
    rf"<\|channel\|>{_HARMONY_SPOKEN}"
    r"|<\|end\|>|<\|return\|>|<\|call\|>|<\|start\|>assistant|<\|message\|>"
)

THOUGHTS: Mapping[str, ThoughtMarks] = {
    "think": ThoughtMarks(f"<think{_SUFFIX}>", f"</think{_SUFFIX}>"),
    "answer": ThoughtMarks("<think>", "</think>", content="</?answer>"),
    "response": ThoughtMarks("<think>", "</think>", content="</?response>"),
    "seed": ThoughtMarks("<seed:think>", "</seed:think>"),
    "mistral": ThoughtMarks(r"\[THINK\]", r"\[/THINK\]"),
    "gemma4": ThoughtMarks(r"<\|channel>thought", r"<channel\|>"),
    "cohere": ThoughtMarks(
        r"<\|START_THINKING\|>", r"<\|END_THINKING\|>", content=r"<\|(?:START|END)_(?:RESPONSE|TEXT)\|>|</?co(?:: ?[^<>]{0,99})?>"
    ),
    "thought": ThoughtMarks("<thought>", "</thought>"),
    "apriel": ThoughtMarks(
        "Here are my reasoning steps:", r"\[BEGIN FINAL RESPONSE\]", content=r"\[END FINAL RESPONSE\]", is_plain_text=True
    ),
    "apertus": ThoughtMarks(r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    "granite": ThoughtMarks(r"Here(?:'s| is) my thought process:", r"Here(?:'s| is) my response:", is_plain_text=True),
    "longcat": ThoughtMarks("<longcat_think>", "</longcat_think>"),
    "minimax_m3": ThoughtMarks("<mm:think>", "</mm:think>"),
    "kimi": ThoughtMarks("◁think▷", "◁/think▷"),
    "kimi_k3": ThoughtMarks(
        r"<\|open\|>think<\|sep\|>",
        r"<\|close\|>think<\|sep\|>",
        content=r"<\|(?:open|close)\|>(?:response|message)<\|sep\|>",
    ),
    "plamo3": ThoughtMarks(r"<\|plamo:begin_think:plamo\|>", r"<\|plamo:end_think:plamo\|>", content=r"<\|plamo:tag\|>"),
    "k2_horizon": ThoughtMarks(r"<ifm\|think\w{0,20}>", r"</ifm\|think\w{0,20}>"),
    "harmony": ThoughtMarks(
        _HARMONY_HIDDEN,
        r"<\|end\|>|<\|return\|>|(?=<\|start\|>)|(?=<\|channel\|>)",
        content=_HARMONY_CONTENT,
        is_message=True,
    ),
}
"""Marks around thoughts, by name."""


def answer_format(calls: Sequence[CallSyntax], thoughts: str | None) -> AnswerFormat:
    """Return the format of answers with calls of these syntaxes. `thoughts` is a row of `THOUGHTS`. Raises `KeyError`."""
    noise = [syntax.noise for syntax in calls if syntax.noise]
    return AnswerFormat(tuple(calls), THOUGHTS[thoughts] if thoughts is not None else None, tuple(dict.fromkeys(noise)))
