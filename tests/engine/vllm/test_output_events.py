"""Conversion of vLLM's outputs to events, with hand-made outputs and a small test parser, streamed and whole."""

from typing import Any

import pytest

from service.domain import (
    ChoiceFinished,
    Event,
    Finished,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolUse,
    Usage,
)
from service.engine.vllm.output_events import ChoiceReader, ParsedReader, TurnReader, finish_reason
from service.errors import EngineFailed, InvalidRequest
from tests.engine.vllm.outputs import Choice, Output, TinyParser, decode
from tests.support.factories import make_job

TOOLS = (Tool("get_weather", None, {}), Tool("hang_up", None, {}))


def read_parsed(pieces: list[str], *, is_stream: bool, ids: bool = True, end: str = "stop", **job: Any) -> list[Event]:
    """Return the events of an answer that came in these pieces. The last piece has the finish reason."""
    made = make_job(is_stream=is_stream, **({"tool_use": ToolUse(TOOLS, "auto")} | job))
    reader = ParsedReader(0, made, decode, parser=TinyParser(ids=ids), request=None, prompt_token_ids=[1, 2])
    events: list[Event] = []
    for number, piece in enumerate(pieces):
        is_last = number == len(pieces) - 1
        text = piece if is_stream or is_last else f"{piece}|"
        events += reader.read(Choice(text, finish_reason=end if is_last else None))
    return events


def gathered(events: list[Event]) -> tuple[str, str, list[tuple[str | None, str | None, str]], list[str]]:
    """Return the reasoning, the text, the calls and the finish reasons."""
    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    calls: list[tuple[str | None, str | None, str]] = []
    for event in events:
        if isinstance(event, ToolCallDelta) and event.id is not None:
            assert event.call == len(calls)
            calls.append((event.id, event.name, event.arguments))
        elif isinstance(event, ToolCallDelta):
            calls[event.call] = (*calls[event.call][:2], calls[event.call][2] + event.arguments)
    return thought, said, calls, [event.reason for event in events if isinstance(event, ChoiceFinished)]


def test_plain_text_comes_as_it_is() -> None:
    reader = ChoiceReader(2, make_job(), decode)
    assert reader.read(Choice("One")) == [TextDelta(2, "One")]
    assert reader.read(Choice("")) == []
    assert reader.read(Choice(" two", finish_reason="length")) == [TextDelta(2, " two"), ChoiceFinished(2, "length")]


@pytest.mark.parametrize(("given", "meant"), [("stop", "stop"), ("length", "length"), ("repetition", "stop")])
def test_how_vllm_ends_a_choice_in_openais_words(given: str, meant: str) -> None:
    assert finish_reason(Choice(finish_reason=given)) == meant


@pytest.mark.parametrize("reason", ["abort", "error", "never heard of"])
@pytest.mark.parametrize("is_stream", [True, False])
def test_half_an_answer_is_a_failure(reason: str, is_stream: bool) -> None:
    with pytest.raises(EngineFailed):
        ChoiceReader(0, make_job(is_stream=is_stream), decode).read(Choice("half", finish_reason=reason))
    with pytest.raises(EngineFailed):
        read_parsed(["half"], is_stream=is_stream, end=reason)


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    ("pieces", "heard"),
    [
        (["One", " two"], ("", "One two", [], ["stop"])),
        (["?Hm", "?, well", "Yes."], ("Hm, well", "Yes.", [], ["stop"])),
        (["!hang_up {}"], ("", "", [("call_0", "hang_up", "{}")], ["tool_calls"])),
        (
            ["Wait.", "!get_weather {", '+"city":', '+"Rome"}'],
            ("", "Wait.", [("call_0", "get_weather", '{"city":"Rome"}')], ["tool_calls"]),
        ),
        (
            ["?Both", "!get_weather {}", "!hang_up {}", "+"],
            ("Both", "", [("call_0", "get_weather", "{}"), ("call_1", "hang_up", "{}")], ["tool_calls"]),
        ),
    ],
    ids=lambda part: str(part)[:30],
)
def test_streamed_and_whole_say_the_same(pieces: list[str], heard: tuple[object, ...], is_stream: bool) -> None:
    assert gathered(read_parsed(pieces, is_stream=is_stream)) == heard


def test_a_stream_gives_each_piece_at_once_and_a_whole_answer_waits_for_the_end() -> None:
    streamed = make_job(tool_use=ToolUse(TOOLS, "auto"))
    reader = ParsedReader(0, streamed, decode, parser=TinyParser(), request=None, prompt_token_ids=[])
    assert reader.read(Choice("!hang_up {")) == [ToolCallDelta(0, 0, "{", id="call_0", name="hang_up")]
    assert reader.read(Choice("+}")) == [ToolCallDelta(0, 0, "}")]
    whole = make_job(is_stream=False, tool_use=ToolUse(TOOLS, "auto"))
    reader = ParsedReader(0, whole, decode, parser=TinyParser(), request=None, prompt_token_ids=[])
    assert reader.read(Choice("One")) == []


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_call_without_an_id_is_given_one_of_its_own(is_stream: bool) -> None:
    _, _, calls, _ = gathered(read_parsed(["!hang_up {}", "!hang_up {}"], is_stream=is_stream, ids=False))
    ids = [call_id for call_id, _, _ in calls]
    assert len(set(ids)) == 2
    assert all(call_id and call_id.startswith("call_") and len(call_id) > 12 for call_id in ids)


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_who_wants_no_parallel_calls_gets_the_first(choice: Any, is_stream: bool) -> None:
    use = ToolUse(TOOLS, choice, is_parallel=False)
    events = read_parsed(["!get_weather {", "+}", "!hang_up {", "+}"], is_stream=is_stream, tool_use=use)
    assert gathered(events) == ("", "", [("call_0", "get_weather", "{}")], ["tool_calls"])


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    ("use", "end", "reason"),
    [
        (ToolUse(TOOLS, "auto"), "stop", "tool_calls"),
        (ToolUse(TOOLS, "required"), "stop", "tool_calls"),
        (ToolUse(TOOLS, "named", named="hang_up"), "stop", "stop"),
        (ToolUse(TOOLS, "auto"), "length", "length"),
    ],
)
def test_the_reason_tells_who_chose_to_call(use: ToolUse, end: str, reason: str, is_stream: bool) -> None:
    assert gathered(read_parsed(["!hang_up {}"], is_stream=is_stream, end=end, tool_use=use))[3] == [reason]


def test_the_parser_is_told_when_the_text_has_ended() -> None:
    parser = TinyParser()
    reader = ParsedReader(0, make_job(), decode, parser=parser, request=None, prompt_token_ids=[])
    reader.read(Choice("One"))
    reader.read(Choice("", finish_reason="stop"))
    assert parser.seen == [("One", False), ("", True)]


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_turn_ends_with_what_it_used_over_all_choices(is_stream: bool) -> None:
    job = make_job(n=2, is_stream=is_stream)
    readers = [
        ParsedReader(index, job, decode, parser=TinyParser(), request=None, prompt_token_ids=[1, 2, 3]) for index in range(2)
    ]
    turn = TurnReader(readers, 3)
    turn.read(Output([Choice("?Hm", (100, 101), index=1), Choice("A", (1,), index=0)]))
    turn.read(Output([Choice("", (2,), "stop", index=0)]))
    step = turn.read(Output([Choice("", (), "length", index=1)], finished=True, num_cached_tokens=2))
    assert step[-2:] == [ChoiceFinished(1, "length"), Finished(Usage(3, 4, cached_tokens=2, reasoning_tokens=2))]


def test_without_a_cache_nothing_was_cached() -> None:
    turn = TurnReader([ChoiceReader(0, make_job(), decode)], 3)
    assert turn.read(Output([Choice("A", (1,), "stop")], finished=True))[-1] == Finished(Usage(3, 1, cached_tokens=0))


@pytest.mark.parametrize("constraint", ["response_format", None])
def test_a_grammar_that_refuses_every_token_is_the_schemas_fault(constraint: str | None) -> None:
    turn = TurnReader([ChoiceReader(0, make_job(), decode)], 3, constraint=constraint)
    with pytest.raises(InvalidRequest if constraint else EngineFailed) as refused:
        turn.read(Output([Choice("", (0,), "error")], finished=True))
    assert refused.value.param == constraint


def test_an_engine_that_fails_in_the_middle_of_json_has_failed() -> None:
    turn = TurnReader([ChoiceReader(0, make_job(), decode)], 3, constraint="response_format")
    turn.read(Output([Choice('{"a":', (1,))]))
    with pytest.raises(EngineFailed):
        turn.read(Output([Choice("", (0,), "error")], finished=True))


class TrippingParser(TinyParser):
    def parse_delta(self, **given: Any) -> Any:
        raise ValueError("canary")


def test_a_parser_that_trips_over_what_the_model_said_is_a_failure_of_the_engine() -> None:
    job = make_job(is_stream=True)
    reader = ParsedReader(0, job, decode, parser=TrippingParser(), request=None, prompt_token_ids=[1])
    with pytest.raises(EngineFailed) as failed:
        TurnReader([reader], prompt_tokens=1).read(Output([Choice("<tool_call>", [1])]))
    assert "canary" not in failed.value.message
