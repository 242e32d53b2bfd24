"""Encoding of events as bytes. The tests read them as a client does, and check them against the response models."""

import json

import pytest

from service.domain import ChoiceFinished, Finished, Step, TextDelta
from service.errors import EngineFailed
from service.schema.response import ChatCompletionChunk, ErrorBody
from service.streaming.encode import EVENT_STREAM, JSON, JsonEncoder, SseEncoder, encoder_for, error_event
from tests.support.encoded import USAGE, USAGE_ON_WIRE, answer_of, chunks_of, read_events, stream_of, text_of
from tests.support.factories import FINGERPRINT, make_job

TURN: list[Step] = [
    [TextDelta(0, "One")],
    [],
    [TextDelta(0, " two"), TextDelta(0, " three")],
    [TextDelta(0, "."), ChoiceFinished(0, "stop"), Finished(USAGE)],
]
TWO_CHOICES: list[Step] = [
    [TextDelta(1, "B")],
    [TextDelta(0, "A"), TextDelta(1, "b")],
    [ChoiceFinished(1, "length")],
    [TextDelta(0, "a"), ChoiceFinished(0, "stop"), Finished(USAGE)],
]
SPECIAL = [
    '"quoted" \\ back',
    "two\nlines\r\n\r\n",
    "\u2028\u2029\x85",
    "😀👩‍👩‍👧",
    "\x00\x1f\x7f",
    "data: [DONE]\n\n",
    "�",
    "<b>&amp;</b>",
]


def test_a_stream_is_role_then_text_then_reason_then_done() -> None:
    choices = [chunk.choices[0] for chunk in chunks_of(TURN)]
    assert [(choice.delta.role, choice.delta.content, choice.finish_reason) for choice in choices] == [
        ("assistant", "", None),
        (None, "One", None),
        (None, " two", None),
        (None, " three", None),
        (None, ".", None),
        (None, None, "stop"),
    ]


def test_every_chunk_carries_the_same_envelope() -> None:
    chunks = chunks_of(TURN, include_usage=True)
    envelopes = {(chunk.id, chunk.created, chunk.model, chunk.system_fingerprint) for chunk in chunks}
    assert envelopes == {("chatcmpl-turn-1", 1_700_000_000, "m", FINGERPRINT)}


def test_the_role_leaves_in_the_same_bytes_as_the_first_text() -> None:
    encoder = SseEncoder(make_job(), FINGERPRINT)
    first = encoder.encode([TextDelta(0, "One")])
    assert [ChatCompletionChunk.model_validate_json(event).choices[0].delta.content for event in read_events(first)] == [
        "",
        "One",
    ]
    assert b"assistant" not in encoder.encode([TextDelta(0, " two")])


def test_a_step_without_events_is_no_bytes_and_no_beginning() -> None:
    encoder = SseEncoder(make_job(), FINGERPRINT)
    begun = []
    for step in ([], TURN[0], []):
        assert bool(encoder.encode(step)) == bool(step)
        begun.append(encoder.has_begun)
    assert begun == [False, True, True]


def test_usage_not_asked_for_is_not_on_the_wire() -> None:
    assert b"usage" not in stream_of(TURN)


def test_usage_asked_for_is_null_until_a_last_chunk_without_choices() -> None:
    *events, _ = map(json.loads, read_events(stream_of(TURN, include_usage=True))[:-1])
    last = json.loads(read_events(stream_of(TURN, include_usage=True))[-2])
    assert [event["usage"] for event in events] == [None] * len(events)
    assert (last["choices"], last["usage"]) == ([], USAGE_ON_WIRE)
    assert chunks_of(TURN, include_usage=True)[-1].choices == []


@pytest.mark.parametrize("include_usage", [True, False])
def test_done_is_said_once_and_last(include_usage: bool) -> None:
    events = read_events(stream_of(TURN, include_usage=include_usage))
    assert events.count("[DONE]") == 1
    assert events[-1] == "[DONE]"


def test_two_choices_each_have_a_role_a_text_and_an_end() -> None:
    chunks = chunks_of(TWO_CHOICES, n=2)
    assert (text_of(chunks, 0), text_of(chunks, 1)) == ("Aa", "Bb")
    for index, reason in ((0, "stop"), (1, "length")):
        mine = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert [choice.delta.role for choice in mine] == ["assistant"] + [None] * (len(mine) - 1)
        assert [choice.finish_reason for choice in mine] == [None] * (len(mine) - 1) + [reason]


def test_an_answer_without_a_word_still_has_a_role_and_an_end() -> None:
    steps: list[Step] = [[ChoiceFinished(0, "length"), Finished(USAGE)]]
    first, last = (chunk.choices[0] for chunk in chunks_of(steps))
    assert (first.delta.role, last.finish_reason) == ("assistant", "length")
    assert answer_of(steps).choices[0].message.content == ""


@pytest.mark.parametrize("text", SPECIAL, ids=ascii)
def test_any_text_comes_through_both_ways(text: str) -> None:
    steps: list[Step] = [[TextDelta(0, text)], [ChoiceFinished(0, "stop"), Finished(USAGE)]]
    assert text_of(chunks_of(steps)) == text
    assert answer_of(steps).choices[0].message.content == text


def test_one_json_answer_says_what_the_stream_says() -> None:
    answer = answer_of(TURN)
    envelope = (answer.id, answer.created, answer.model, answer.system_fingerprint)
    assert envelope == ("chatcmpl-turn-1", 1_700_000_000, "m", FINGERPRINT)
    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in answer.choices] == [
        (0, "One two three.", "stop")
    ]
    assert answer.usage.model_dump() == USAGE_ON_WIRE


def test_choices_of_one_json_answer_are_in_order() -> None:
    choices = answer_of(TWO_CHOICES, n=2).choices
    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in choices] == [
        (0, "Aa", "stop"),
        (1, "Bb", "length"),
    ]


def test_a_json_answer_that_breaks_midway_can_still_have_a_status() -> None:
    encoder = JsonEncoder(make_job(is_stream=False), FINGERPRINT)
    encoder.encode(TURN[0])
    assert not encoder.has_begun


def test_an_error_event_is_one_event_with_openais_error() -> None:
    (event,) = read_events(error_event(EngineFailed().as_openai()))
    error = ErrorBody.model_validate_json(event).error
    assert (error.type, error.code) == ("server_error", "engine_error")


@pytest.mark.parametrize(("is_stream", "media_type"), [(True, EVENT_STREAM), (False, JSON)])
def test_the_job_decides_how_the_answer_is_encoded(is_stream: bool, media_type: str) -> None:
    assert encoder_for(make_job(is_stream=is_stream), FINGERPRINT).media_type == media_type


def test_line_separators_are_escaped_so_that_line_readers_do_not_break_on_them() -> None:
    frame = SseEncoder(make_job(), FINGERPRINT).encode([TextDelta(0, "a\u2028b\u2029c\x85d")])
    assert len(frame.decode().splitlines()) == len(frame.decode().split("\n")) - 1
    assert read_events(frame)
