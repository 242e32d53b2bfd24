"""Tries a model's readers before it is served: on sample outputs in its format, and on what its own template writes as history.

It needs the tokenizer, and no weights. Each text is tokenized, and read at 1, 3 and 8 tokens a delta.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.engine.models.json_object import JsonObject
from service.engine.models.model_profile import ModelProfile, ModelSource, Said
from service.engine.models.parser_verdicts import TOOL_PARSERS
from service.engine.models.readers.answer import AnswerReader
from service.engine.models.readers.parts import Call, Content, Offered, Part, Thought
from service.engine.models.samples import CALLS_WRITTEN, FINAL_WRITTEN, HANG_UP, SCHEMAS, THOUGHTS_WRITTEN, WEATHER
from service.engine.models.thinking import is_in_thought
from service.engine.models.token_texts import TokenTexts

DELTAS = (1, 3, 8)
"""Tokens in a delta."""
_SAID, _THOUGHT = "Grüße! 1 < 2 👋", "Short plan."
_TOOLS: list[Said] = [
    {"type": "function", "function": {"name": name, "description": "A probe.", "parameters": dict(schema)}}
    for name, schema in SCHEMAS.items()
]


@dataclass(frozen=True, slots=True)
class Tried:
    """One text that was read."""

    what: str
    is_right: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    content: str
    thought: str
    calls: tuple[tuple[str, Mapping[str, Any]], ...]


def self_test(source: ModelSource, profile: ModelProfile, texts: TokenTexts) -> list[Tried]:
    """Read all samples that there are for this model. Returns what was tried, with what was wrong."""
    if profile.vllm_parsers is not None:
        return []
    tried = [_try(texts, profile, what, text, expected) for what, text, expected in _samples(profile)]
    if (history := _history(source, profile, texts)) is not None:
        tried.append(history)
    return tried


def _samples(profile: ModelProfile) -> Iterator[tuple[str, str, _Answer]]:
    """Texts with what they mean."""
    row = profile.thoughts.thoughts if profile.thoughts is not None else ""
    before, after = FINAL_WRITTEN.get(row, ("", ""))
    yield "text", f"{before}{_SAID}{after}", _Answer(_SAID, "", ())
    opening, closing = THOUGHTS_WRITTEN.get(row, ("", ""))
    if opening:
        yield "a thought, then text", f"{opening}{_THOUGHT}{closing}{before}{_SAID}{after}", _Answer(_SAID, _THOUGHT, ())
    if profile.tool_parser is None:
        return
    syntax = TOOL_PARSERS[profile.tool_parser.name].syntax
    written = CALLS_WRITTEN.get(syntax or "")
    if written is not None:
        calls = (("get_weather", WEATHER), ("end_call", HANG_UP)) if "end_call" in written else (("get_weather", WEATHER),)
        yield "tool calls", written, _Answer("", "", calls)
        if opening:
            yield "a thought, then tool calls", f"{opening}{_THOUGHT}{closing}{written}", _Answer("", _THOUGHT, calls)


def _try(texts: TokenTexts, profile: ModelProfile, what: str, text: str, expected: _Answer) -> Tried:
    token_ids = texts.encode(text)
    for size in DELTAS:
        found = _read(texts, profile, token_ids, size, is_thinking=False)
        if found != expected:
            return Tried(what, is_right=False, detail=f"at {size} tokens a delta: {found} instead of {expected}")
    return Tried(what, is_right=True)


def _read(texts: TokenTexts, profile: ModelProfile, token_ids: Sequence[int], size: int, *, is_thinking: bool) -> _Answer:
    stream = texts.stream(())
    reader = AnswerReader(profile.answers, Offered(SCHEMAS), is_in_thought=is_thinking)
    parts: list[Part] = []
    for start in range(0, len(token_ids), size):
        delta: list[Part] = []
        for token_id in token_ids[start : start + size]:
            for text, is_special in stream.next(token_id):
                delta += reader.read(text, is_special=is_special, token_id=token_id)
        parts += delta
    parts += reader.finish("stop")
    return _Answer(
        "".join(part.text for part in parts if isinstance(part, Content)),
        "".join(part.text for part in parts if isinstance(part, Thought)),
        tuple((part.name, json.loads(part.arguments)) for part in parts if isinstance(part, Call)),
    )


def _history(source: ModelSource, profile: ModelProfile, texts: TokenTexts) -> Tried | None:
    """A call that the template writes as history is in the model's own format, so the reader must read it as the same call."""
    if profile.tool_parser is None or not (profile.traits.takes_tools and profile.traits.takes_calls):
        return None
    what = "a call that the chat template wrote"
    # Kimi's template writes the ID in place of the name.
    call_id = "call00000" if profile.traits.shows_called_names else "functions.get_weather:0"
    call = {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": JsonObject(WEATHER)}}
    question: list[Said] = [{"role": "user", "content": "Hello"}]
    made: list[Said] = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "name": "get_weather", "content": "zresultz", "tool_call_id": call_id},
    ]
    try:
        prompt = source.render(question, _TOOLS, profile.variables)
        whole = source.render(question + made, _TOOLS, profile.variables)
    except Exception:  # Its traits say that it shows calls, but not in this conversation: nothing was learned.
        return None
    written = whole[len(_shared(prompt, whole)) :].partition("zresultz")[0]
    marks = profile.answers.thoughts
    is_thinking = marks is not None and is_in_thought(prompt, marks) and whole.startswith(prompt)
    token_ids = texts.encode(written)
    for size in DELTAS:
        found = _read(texts, profile, token_ids, size, is_thinking=is_thinking)
        if found.calls != (("get_weather", WEATHER),):
            detail = f"at {size} tokens a delta: {found.calls} in {written!r}, read as {profile.tool_parser.name}"
            return Tried(what, is_right=False, detail=detail)
    return Tried(what, is_right=True)


def _shared(prompt: str, whole: str) -> str:
    """Return what both begin with, up to a mark that only one of them has whole."""
    length = next((at for at, (one, other) in enumerate(zip(prompt, whole, strict=False)) if one != other), len(prompt))
    shared = whole[:length]
    opened = max(shared.rfind("<"), shared.rfind("["))
    return shared[:opened] if opened > max(shared.rfind(">"), shared.rfind("]")) else shared


def has_sample(profile: ModelProfile) -> bool:
    """Return whether the format of tool calls has a sample of its own."""
    syntax = TOOL_PARSERS[profile.tool_parser.name].syntax if profile.tool_parser is not None else None
    return profile.tool_parser is None or syntax in CALLS_WRITTEN
