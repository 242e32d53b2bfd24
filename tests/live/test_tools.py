"""Tool calls of the real engine: whole, valid, and alike streamed or not. The embedded model calls only when it must."""

import json
from typing import Any

import pytest

from tests.support.process import ServiceProcess
from tests.support.service_under_test import sse_events

NOTE = {
    "type": "function",
    "function": {
        "name": "note",
        "description": "Write a note.",
        "parameters": {
            "type": "object",
            "properties": {"text": {"type": "string", "minLength": 12}, "urgent": {"type": "boolean"}},
            "required": ["text", "urgent"],
            "additionalProperties": False,
        },
    },
}
HANG_UP = {"type": "function", "function": {"name": "end_call", "description": "Hang up.", "parameters": {"type": "object"}}}
NAMED = {"type": "function", "function": {"name": "note"}}


def heard(service: ServiceProcess, *, stream: bool, **fields: Any) -> tuple[str, list[tuple[str, str]], str]:
    """Return the content, the calls and the finish reason of an answer. A streamed call must come in one piece."""
    body = service.body("Note that the meeting is at nine, then hang up.", temperature=0, stream=stream, **fields)
    response = service.post(body)
    assert response.status_code == 200, response.text
    if not stream:
        choice = json.loads(response.content)["choices"][0]
        calls = [(each["function"]["name"], each["function"]["arguments"]) for each in choice["message"].get("tool_calls") or ()]
        return choice["message"]["content"] or "", calls, choice["finish_reason"]
    *chunks, done = sse_events(response.text)
    assert done == "[DONE]"
    choices = [chunk["choices"][0] for chunk in chunks]
    pieces = [each for choice in choices for each in choice["delta"].get("tool_calls") or ()]
    assert [each["index"] for each in pieces] == list(range(len(pieces)))
    assert all(each["id"] for each in pieces)
    content = "".join(choice["delta"].get("content") or "" for choice in choices)
    return content, [(each["function"]["name"], each["function"]["arguments"]) for each in pieces], choices[-1]["finish_reason"]


@pytest.mark.parametrize("choice", ["required", NAMED])
def test_a_forced_call_is_alike_in_both_modes(service: ServiceProcess, choice: Any) -> None:
    fields: dict[str, Any] = {"tools": [NOTE], "tool_choice": choice, "max_tokens": 120, "parallel_tool_calls": False}
    content, calls, reason = heard(service, stream=True, **fields)
    assert (content, calls, reason) == heard(service, stream=False, **fields)
    assert content == ""
    ((name, arguments),) = calls
    assert name == "note"
    assert json.loads(arguments).keys() == {"text", "urgent"}


@pytest.mark.parametrize("max_tokens", range(4, 40, 5))
def test_a_call_that_is_cut_is_alike_in_both_modes_and_never_spoken(service: ServiceProcess, max_tokens: int) -> None:
    fields: dict[str, Any] = {"tools": [NOTE], "tool_choice": "required", "max_tokens": max_tokens, "min_tokens": max_tokens}
    content, calls, reason = heard(service, stream=True, **fields)
    assert (content, calls, reason) == heard(service, stream=False, **fields)
    assert content == ""
    assert reason == "length"
    for _, arguments in calls[:-1]:
        json.loads(arguments)


@pytest.mark.parametrize("stop", ["}", ",", "\n", '"text"', "note"])
def test_a_stop_string_does_not_act_inside_a_call(service: ServiceProcess, stop: str) -> None:
    fields: dict[str, Any] = {"tools": [NOTE], "tool_choice": NAMED, "max_tokens": 120}
    assert heard(service, stream=True, stop=[stop], **fields) == heard(service, stream=False, **fields)


@pytest.mark.parametrize("stream", [False, True])
def test_no_special_token_is_spoken_beside_tools(service: ServiceProcess, stream: bool) -> None:
    """The model is pushed to end its answer, and must go on."""
    fields: dict[str, Any] = {"tools": [NOTE, HANG_UP], "ignore_eos": True, "logit_bias": {"2": 8.0}, "max_tokens": 40}
    content, _, _ = heard(service, stream=stream, **fields)
    assert "<|" not in content


def test_calls_and_results_in_the_history_render(service: ServiceProcess) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "note", "arguments": '{"text": "nine", "urgent": false}'}}
    messages = [
        {"role": "user", "content": "Note it."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    body = {**service.body(tools=[NOTE], tool_choice="none", max_tokens=12, temperature=0), "messages": messages}
    whole = json.loads(service.post(body).content)["choices"][0]["message"]
    assert "<tool" not in whole["content"]
