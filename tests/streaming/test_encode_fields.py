"""Encoding of events that are not plain text: calls, reasoning, log probabilities, and graphemes that must not be split."""

import json
from typing import Any

import pytest

from service.domain import ChoiceFinished, Event, Finished, ReasoningDelta, Step, TextDelta, TokenLogprob, ToolCallDelta
from service.schema.response import ChatCompletionChunk, FunctionCall, ToolCall
from service.streaming.encode import SseEncoder
from tests.support.encoded import USAGE, answer_of, chunks_of, read_events, stream_of, text_of
from tests.support.factories import FINGERPRINT, make_job

CALLED: list[Step] = [
    [ToolCallDelta(0, 0, "", id="call_a", name="get_weather")],
    [ToolCallDelta(0, 0, '{"city":')],
    [ToolCallDelta(0, 0, '"Rome"}'), ChoiceFinished(0, "tool_calls"), Finished(USAGE)],
]
CALLED_TWICE: list[Step] = [
    [ToolCallDelta(0, 0, "{", id="call_a", name="get_weather"), ToolCallDelta(0, 1, "{", id="call_b", name="hang_up")],
    [ToolCallDelta(0, 1, "}"), ToolCallDelta(0, 0, "}")],
    [ChoiceFinished(0, "tool_calls"), Finished(USAGE)],
]
THOUGHT: list[Step] = [
    [ReasoningDelta(0, "Hm")],
    [ReasoningDelta(0, ", well\u2028"), TextDelta(0, "Yes.")],
    [ChoiceFinished(0, "stop"), Finished(USAGE)],
]
A = TokenLogprob("a", -0.5, b"a", (TokenLogprob("a", -0.5, b"a"), TokenLogprob("é", -9999.0, b"\xc3\xa9")))
HALF = TokenLogprob("\ufffd", -1.25, b"\xf0\x9f")
MEASURED: list[Step] = [
    [TextDelta(0, "a", (A,))],
    [TextDelta(0, "", (HALF,))],
    [TextDelta(0, "😀", (A, A)), ChoiceFinished(0, "stop"), Finished(USAGE)],
]


def deltas_of(steps: list[Step], **job: Any) -> list[dict[str, Any]]:
    """Return each chunk's delta as it is sent. Each chunk is checked against the schema."""
    chunks_of(steps, **job)
    return [json.loads(event)["choices"][0]["delta"] for event in read_events(stream_of(steps, **job))[:-1]]


def contents_of(chunks: list[ChatCompletionChunk], index: int) -> list[str | None]:
    return [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.index == index]


def test_a_streamed_call_begins_with_its_id_and_name_and_goes_on_in_pieces() -> None:
    head = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    assert deltas_of(CALLED) == [
        {"role": "assistant", "content": ""},
        {"tool_calls": [head]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]},
        {},
    ]
    assert chunks_of(CALLED)[-1].choices[0].finish_reason == "tool_calls"


def test_the_role_leaves_in_the_same_bytes_as_a_calls_first_piece() -> None:
    encoder = SseEncoder(make_job(), FINGERPRINT)
    assert len(read_events(encoder.encode(CALLED[0]))) == 2
    assert encoder.has_begun


def test_a_whole_call_is_a_message_without_content() -> None:
    choice = answer_of(CALLED).choices[0]
    function = FunctionCall(name="get_weather", arguments='{"city":"Rome"}')
    assert choice.message.tool_calls == [ToolCall(id="call_a", type="function", function=function)]
    assert (choice.message.content, choice.message.function_call, choice.finish_reason) == (None, None, "tool_calls")


def test_what_was_said_beside_a_call_is_kept() -> None:
    said: Step = [TextDelta(0, "One moment.")]
    assert answer_of([said, *CALLED]).choices[0].message.content == "One moment."
    assert text_of(chunks_of([said, *CALLED])) == "One moment."


def test_parallel_calls_are_told_apart_by_their_index_however_their_pieces_come() -> None:
    calls = answer_of(CALLED_TWICE).choices[0].message.tool_calls or []
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("call_a", "get_weather", "{}"),
        ("call_b", "hang_up", "{}"),
    ]
    pieces = [piece for delta in deltas_of(CALLED_TWICE) for piece in delta.get("tool_calls", ())]
    assert [(piece["index"], piece.get("id"), piece["function"]["arguments"]) for piece in pieces] == [
        (0, "call_a", "{"),
        (1, "call_b", "{"),
        (1, None, "}"),
        (0, None, "}"),
    ]


def test_who_asked_with_functions_is_streamed_a_function_call() -> None:
    assert deltas_of(CALLED, is_legacy_functions=True) == [
        {"role": "assistant", "content": ""},
        {"function_call": {"name": "get_weather", "arguments": ""}},
        {"function_call": {"arguments": '{"city":'}},
        {"function_call": {"arguments": '"Rome"}'}},
        {},
    ]
    assert chunks_of(CALLED, is_legacy_functions=True)[-1].choices[0].finish_reason == "function_call"


def test_who_asked_with_functions_is_answered_a_function_call() -> None:
    choice = answer_of(CALLED, is_legacy_functions=True).choices[0]
    assert choice.message.function_call == FunctionCall(name="get_weather", arguments='{"city":"Rome"}')
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == (None, None, "function_call")


@pytest.mark.parametrize("is_legacy", [True, False])
def test_an_answer_without_a_call_ends_as_ever(is_legacy: bool) -> None:
    steps: list[Step] = [[TextDelta(0, "Hi")], [ChoiceFinished(0, "stop"), Finished(USAGE)]]
    choice = answer_of(steps, is_legacy_functions=is_legacy).choices[0]
    assert (choice.message.content, choice.finish_reason) == ("Hi", "stop")
    assert not {"tool_calls", "function_call", "reasoning_content"} & choice.message.model_fields_set
    assert chunks_of(steps, is_legacy_functions=is_legacy)[-1].choices[0].finish_reason == "stop"


def test_thoughts_stand_beside_the_content_and_never_in_it() -> None:
    message = answer_of(THOUGHT).choices[0].message
    assert (message.reasoning_content, message.content) == ("Hm, well\u2028", "Yes.")
    assert deltas_of(THOUGHT)[1:-1] == [
        {"reasoning_content": "Hm"},
        {"reasoning_content": ", well\u2028"},
        {"content": "Yes."},
    ]
    assert "\u2028" not in stream_of(THOUGHT).decode()


def test_log_probabilities_ride_with_their_text() -> None:
    choices = [chunk.choices[0] for chunk in chunks_of(MEASURED)]
    shown = [[each.token for each in choice.logprobs.content] if choice.logprobs else None for choice in choices]
    assert shown == [None, ["a"], ["\ufffd"], ["a", "a"], None]
    assert [choice.delta.content for choice in choices] == ["", "a", "", "😀", None]


def test_log_probabilities_of_a_whole_answer_are_collected() -> None:
    logprobs = answer_of(MEASURED).choices[0].logprobs
    assert logprobs is not None
    first, half = logprobs.content[0], logprobs.content[1]
    assert [each.token for each in logprobs.content] == ["a", "\ufffd", "a", "a"]
    assert (first.logprob, first.bytes, half.bytes, half.top_logprobs) == (-0.5, [97], [0xF0, 0x9F], [])
    assert [(top.token, top.logprob, top.bytes) for top in first.top_logprobs] == [
        ("a", -0.5, [97]),
        ("é", -9999.0, [0xC3, 0xA9]),
    ]


@pytest.mark.parametrize("steps", [CALLED, THOUGHT])
def test_log_probabilities_not_asked_for_are_null(steps: list[Step]) -> None:
    assert answer_of(steps).choices[0].logprobs is None
    assert {choice.logprobs for chunk in chunks_of(steps) for choice in chunk.choices} == {None}


@pytest.mark.parametrize(("is_asked", "tier"), [(True, "default"), (False, None)])
def test_the_service_tier_is_told_to_who_asks(is_asked: bool, tier: str | None) -> None:
    answer, chunks = answer_of(CALLED, wants_service_tier=is_asked), chunks_of(CALLED, wants_service_tier=is_asked)
    assert {answer.service_tier, *(chunk.service_tier for chunk in chunks)} == {tier}
    assert (b"service_tier" in stream_of(CALLED, wants_service_tier=is_asked)) is is_asked


@pytest.mark.parametrize("steps", [CALLED, CALLED_TWICE, THOUGHT, MEASURED])
@pytest.mark.parametrize("include_usage", [True, False])
def test_every_chunk_has_the_fingerprint(steps: list[Step], include_usage: bool) -> None:
    assert {chunk.system_fingerprint for chunk in chunks_of(steps, include_usage=include_usage)} == {FINGERPRINT}
    assert answer_of(steps).system_fingerprint == FINGERPRINT


def test_a_sign_is_not_cut_and_the_answer_loses_nothing() -> None:
    """Two choices end a step with half a flag. The second choice never gets the other half."""
    events: list[list[Event]] = [
        [TextDelta(0, "in 🇩"), TextDelta(1, "🇫")],
        [TextDelta(1, "!🇷"), TextDelta(0, "🇪 now")],
        [ChoiceFinished(1, "length"), ChoiceFinished(0, "stop"), Finished(USAGE)],
    ]
    steps: list[Step] = list(events)
    chunks = chunks_of(steps, n=2)
    assert contents_of(chunks, 0) == [
        "",
        "in ",
        "🇩🇪 now",
        None,
    ]
    assert contents_of(chunks, 1) == ["", "🇫!", "🇷", None]
    assert [choice.message.content for choice in answer_of(steps, n=2).choices] == ["in 🇩🇪 now", "🇫!🇷"]


def test_a_first_step_that_is_held_whole_is_no_beginning() -> None:
    encoder = SseEncoder(make_job(), FINGERPRINT)
    assert encoder.encode([TextDelta(0, "🇩")]) == b""
    assert not encoder.has_begun
    assert len(read_events(encoder.encode([TextDelta(0, "🇪")]))) == 2


def test_log_probabilities_do_not_wait_for_what_is_held() -> None:
    steps: list[Step] = [[TextDelta(0, "🇩", (A,))], [TextDelta(0, "🇪", (A,))], [ChoiceFinished(0, "stop"), Finished(USAGE)]]
    choices = [chunk.choices[0] for chunk in chunks_of(steps)]
    assert [(choice.delta.content, choice.logprobs is not None) for choice in choices[1:-1]] == [("", True), ("🇩🇪", True)]
