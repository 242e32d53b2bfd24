"""Conversion of vLLM's outputs to events, with hand-made outputs and a vocabulary of a few words."""

from typing import Any

import pytest

from service.domain import (
    ChoiceFinished,
    Event,
    Finished,
    Generated,
    ReasoningDelta,
    Sampling,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolUse,
    Usage,
)
from service.engine.models.readers.parts import Part
from service.errors import EngineFailed, InvalidRequest, NothingSaid
from tests.engine.vllm.outputs import END, HANG_UP, WEATHER, Choice, Output, Words, choice_reader, turn_reader
from tests.support.factories import make_job

TOOLS = (Tool("get_weather", None, {}), Tool("hang_up", None, {}))
CALL = ["<tool_call>", WEATHER[:20], WEATHER[20:], "</tool_call>"]
HANGING_UP = ["<tool_call>", HANG_UP, "</tool_call>"]


def read(texts: list[str], *, size: int = 1, end: str = "stop", **job: Any) -> list[Event]:
    """Return the events of an answer of these tokens, so many in an output. A token that ends it follows."""
    words = Words()
    reader = choice_reader(words, make_job(**({"tool_use": ToolUse(TOOLS, "auto")} | job)))
    token_ids = [*words.ids(*texts), *([END] if end == "stop" else [])]
    events: list[Event] = []
    for start in range(0, len(token_ids), size):
        is_last = start + size >= len(token_ids)
        events += reader.read(Choice(token_ids[start : start + size], end if is_last else None))
    return events


def gathered(events: list[Event]) -> tuple[str, str, list[tuple[str | None, str]], list[str]]:
    """Return the reasoning, the text, the calls and the finish reasons."""
    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    calls = [(event.name, event.arguments) for event in events if isinstance(event, ToolCallDelta)]
    return thought, said, calls, [event.reason for event in events if isinstance(event, ChoiceFinished)]


def test_text_comes_as_it_is() -> None:
    words = Words()
    reader = choice_reader(words, make_job(), 2)
    assert reader.read(Choice(words.ids("One"))) == [TextDelta(2, "One")]
    assert reader.read(Choice(words.ids("half of 👋"))) == []
    assert reader.read(Choice(words.ids(" two"), "length")) == [TextDelta(2, " two"), ChoiceFinished(2, "length")]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("texts", "heard"),
    [
        (["One", " two"], ("", "One two", [], ["stop"])),
        (["<think>", "Hm", ", well", "</think>", "Yes."], ("Hm, well", "Yes.", [], ["stop"])),
        (HANGING_UP, ("", "", [("hang_up", "{}")], ["tool_calls"])),
        (["Wait.", *CALL], ("", "Wait.", [("get_weather", '{"city": "Rome"}')], ["tool_calls"])),
        (
            ["<think>", "Both", "</think>", *CALL, "\n", *HANGING_UP],
            ("Both", "", [("get_weather", '{"city": "Rome"}'), ("hang_up", "{}")], ["tool_calls"]),
        ),
        (["Hi", "<|unused|>", "!"], ("", "Hi!", [], ["stop"])),
    ],
    ids=lambda part: str(part)[:30],
)
def test_the_number_of_tokens_in_an_output_makes_no_difference(texts: list[str], heard: tuple[object, ...], size: int) -> None:
    assert gathered(read(texts, size=size)) == heard


def test_the_tokens_of_one_output_are_one_event() -> None:
    """Each event is a frame of its own: under load many tokens must not become many frames."""
    words = Words()
    reader = choice_reader(words, make_job())
    assert reader.read(Choice(words.ids("One", " two", " three"))) == [TextDelta(0, "One two three")]
    thought = choice_reader(words, make_job()).read(Choice(words.ids("<think>", "Hm", ", well", "</think>", "Yes", ".")))
    assert thought == [ReasoningDelta(0, "Hm, well"), TextDelta(0, "Yes.")]


def test_a_call_comes_when_it_is_whole() -> None:
    words = Words()
    reader = choice_reader(words, make_job(tool_use=ToolUse(TOOLS, "auto")))
    *begun, closing = words.ids(*CALL)
    assert reader.read(Choice(begun[:-1])) == []
    (call,) = reader.read(Choice([begun[-1]]))
    assert isinstance(call, ToolCallDelta)
    assert (call.call, call.name, call.arguments) == (0, "get_weather", '{"city": "Rome"}')
    assert call.id is not None
    assert call.id.startswith("call_")
    assert reader.read(Choice([closing])) == []


def test_each_call_has_an_id_of_its_own() -> None:
    ids = [event.id for event in read([*HANGING_UP, *HANGING_UP]) if isinstance(event, ToolCallDelta)]
    assert len(set(ids)) == 2


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_who_wants_no_parallel_calls_gets_the_first(choice: Any) -> None:
    events = read([*CALL, *HANGING_UP], tool_use=ToolUse(TOOLS, choice, is_parallel=False))
    assert gathered(events) == ("", "", [("get_weather", '{"city": "Rome"}')], ["tool_calls"])


@pytest.mark.parametrize(
    ("use", "end", "reason"),
    [
        (ToolUse(TOOLS, "auto"), "stop", "tool_calls"),
        (ToolUse(TOOLS, "required"), "stop", "tool_calls"),
        (ToolUse(TOOLS, "named", named="hang_up"), "stop", "stop"),
        (ToolUse(TOOLS, "auto"), "length", "length"),
    ],
)
def test_the_reason_tells_who_chose_to_call(use: ToolUse, end: str, reason: str) -> None:
    assert gathered(read(HANGING_UP, end=end, tool_use=use))[3] == [reason]


@pytest.mark.parametrize(("given", "meant"), [("stop", "stop"), ("length", "length"), ("repetition", "stop")])
def test_how_vllm_ends_a_choice_in_openais_words(given: str, meant: str) -> None:
    words = Words()
    events = choice_reader(words, make_job()).read(Choice(words.ids("One", " two"), given))
    said = "One" if given == "stop" else "One two"  # The last token of a stop is the one that stopped it.
    assert gathered(events) == ("", said, [], [meant])


@pytest.mark.parametrize("reason", ["abort", "error", "never heard of"])
def test_half_an_answer_is_a_failure(reason: str) -> None:
    words = Words()
    with pytest.raises(EngineFailed):
        choice_reader(words, make_job()).read(Choice(words.ids("half"), reason))


def test_a_turn_ends_with_what_it_used_over_all_choices() -> None:
    words, generated = Words(), Generated()
    turn = turn_reader(words, make_job(n=2), generated)
    turn.read(Output([Choice(words.ids("<think>", "Hm", "so"), index=1), Choice(words.ids("A"), index=0)]))
    assert generated.tokens == 4
    turn.read(Output([Choice([END], "stop", index=0)]))
    step = turn.read(Output([Choice((), "length", index=1)], finished=True, num_cached_tokens=2))
    assert step[-2:] == [ChoiceFinished(1, "length"), Finished(Usage(3, 5, cached_tokens=2, reasoning_tokens=2))]


def test_without_a_cache_nothing_was_cached() -> None:
    words = Words()
    turn = turn_reader(words, make_job())
    assert turn.read(Output([Choice(words.ids("A"), "length")], finished=True))[-1] == Finished(Usage(3, 1, cached_tokens=0))


def test_a_stop_string_ends_its_choice_and_no_token_after_it_counts() -> None:
    words = Words()
    job = make_job(n=2, sampling=Sampling(n=2, stop=("!",)))
    turn = turn_reader(words, job)
    step = turn.read(Output([Choice(words.ids("Hi", "! And", " on"), index=0), Choice(words.ids("Well"), index=1)]))
    assert step == [TextDelta(0, "Hi"), ChoiceFinished(0, "stop"), TextDelta(1, "Well")]
    was_over = turn.is_over
    step = turn.read(Output([Choice(words.ids(" more"), index=0), Choice(words.ids("!"), index=1)]))
    assert (was_over, turn.is_over) == (False, True)
    assert step == [ChoiceFinished(1, "stop"), Finished(Usage(3, 4, cached_tokens=0))]


def test_an_answer_of_only_dropped_calls_is_an_error_of_the_model() -> None:
    words, generated = Words(), Generated()
    turn = turn_reader(words, make_job(tool_use=ToolUse(TOOLS, "auto")), generated)
    unknown = words.ids("<tool_call>", '{"name": "fly", "arguments": {}}', "</tool_call>")
    broken = words.ids("<tool_call>", "no JSON", "</tool_call>")
    with pytest.raises(NothingSaid) as said:
        turn.read(Output([Choice([*unknown, *broken, END], "stop")], finished=True))
    assert said.value.code == "model_said_nothing"
    assert generated.dropped_calls == ["unknown_function", "malformed"]


@pytest.mark.parametrize(
    ("texts", "end"),
    [
        (["<think>", "Hm"], "length"),  # The caller's own limit.
        ([], "stop"),  # The model chose to say nothing, and nothing was withheld.
        (["Sorry. ", "<tool_call>", "no JSON", "</tool_call>"], "stop"),
    ],
)
def test_other_short_answers_are_none(texts: list[str], end: str) -> None:
    words = Words()
    turn = turn_reader(words, make_job(tool_use=ToolUse(TOOLS, "auto")))
    step = turn.read(Output([Choice([*words.ids(*texts), END], end)], finished=True))
    assert isinstance(step[-1], Finished)


@pytest.mark.parametrize("constraint", ["response_format", None])
def test_a_grammar_that_refuses_every_token_is_the_schemas_fault(constraint: str | None) -> None:
    turn = turn_reader(Words(), make_job(), constraint=constraint)
    with pytest.raises(InvalidRequest if constraint else EngineFailed) as refused:
        turn.read(Output([Choice([END], "error")], finished=True))
    assert refused.value.param == constraint


def test_an_engine_that_fails_in_the_middle_of_json_has_failed() -> None:
    words = Words()
    turn = turn_reader(words, make_job(), constraint="response_format")
    turn.read(Output([Choice(words.ids('{"a":'))]))
    with pytest.raises(EngineFailed):
        turn.read(Output([Choice([END], "error")], finished=True))


def test_a_reader_that_trips_over_what_the_model_said_is_a_failure_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def trip(text: str, **more: Any) -> list[Part]:
        raise ValueError("canary")

    words = Words()
    turn = turn_reader(words, make_job())
    monkeypatch.setattr(turn._readers[0].parts, "read", trip)
    with pytest.raises(EngineFailed) as failed:
        turn.read(Output([Choice(words.ids("<tool_call>"))]))
    assert "canary" not in failed.value.message
