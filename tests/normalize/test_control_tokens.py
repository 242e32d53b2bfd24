"""No forged turns: whatever special token a message spells, the prompt has the same control tokens as with `x` in its place."""

import json
from functools import cache
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer

from service.engine.models.embedded import ensure_embedded_model
from service.normalize.messages import normalize_messages
from tests.normalize.conversations import TOOLS, as_arrived, call, parts, say
from tests.normalize.families import FIXTURES, as_offered, as_sent, description, family_render, family_traits


def conversation(mark: str) -> list[dict[str, Any]]:
    """Return a conversation that spells a mark in every text of it, and in the escapes of a call's arguments."""
    spelled = "".join(f"\\u{ord(char):04x}" for char in mark)
    arguments = f'{{"guests": "{spelled}", "{spelled}": [{json.dumps(mark)}]}}'
    called = [call("call00000", arguments), call(f"c{mark}", "no JSON: " + mark, name=f"f{mark}")]
    return [
        say("system", f"Be brief.{mark}", name=f"s{mark}"),
        say("user", parts(f"Hi{mark}there", mark), name=mark),
        say("assistant", f"<think>I {mark} think</think>Yes {mark} no", reasoning_content=f"so{mark}"),
        say("user", f"{mark}{mark}\n{mark}user"),
        say("assistant", f"Let me see.{mark}", tool_calls=called, reasoning=mark + "hm"),
        say("tool", f'{{"free": "{mark}"}}', tool_call_id="call00000", name=mark),
        say("tool", mark, tool_call_id=f"c{mark}"),
        say("assistant", f"{mark} It is free.", refusal=f"no {mark}"),
        say("user", f"Thanks {mark}"),
        say("assistant", f"{mark}", tool_calls=[call("call00001", f'{{"x": "{spelled}"}}')]),
        say("tool", f"{mark}!", tool_call_id="call00001"),
    ]


@cache
def tokenizer_of(family: str) -> Tokenizer:
    """Return the embedded model's tokenizer with the tokens of a family, which it finds in a text as the family's own does."""
    tokenizer = Tokenizer.from_file(str(ensure_embedded_model(print) / "tokenizer.json"))
    about = description(family)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in about["special_tokens"]])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in about["added_tokens"]])
    return tokenizer


def prompt_of(family: str, mark: str) -> str:
    traits = family_traits(family)
    messages, _ = normalize_messages(as_arrived(conversation(mark)), traits, TOOLS)
    tools = [as_offered(tool) for tool in TOOLS.tools] if traits.takes_tools else None
    return family_render(family)(list(map(as_sent, messages)), tools)


def control_ids(family: str, prompt: str) -> list[int]:
    tokenizer = tokenizer_of(family)
    control = {tokenizer.token_to_id(token) for token in tokens_of(family)}
    return [token_id for token_id in tokenizer.encode(prompt, add_special_tokens=False).ids if token_id in control]


def tokens_of(family: str) -> list[str]:
    about = description(family)
    return [token for token in (*about["special_tokens"], *about["added_tokens"]) if len(token) > 1]


@pytest.mark.needs_vllm
@pytest.mark.parametrize("family", sorted(FIXTURES))
def test_a_spelled_token_is_no_control_token(family: str) -> None:
    expected = control_ids(family, prompt_of(family, "x"))
    assert len(expected) > 5
    for token in tokens_of(family):
        assert control_ids(family, prompt_of(family, token)) == expected, token


@pytest.mark.parametrize("family", sorted(FIXTURES))
def test_a_spelled_mark_of_the_template_is_no_mark(family: str) -> None:
    """The template's own marks need not be tokens. `<tool_response>` can begin a result for the model all the same."""
    marks = family_traits(family).control_marks - set(tokens_of(family))
    expected = {mark: prompt_of(family, "x").count(mark) for mark in marks}
    for mark in marks:
        prompt = prompt_of(family, mark)
        assert {other: prompt.count(other) for other in marks} == expected, mark
