"""Tool calls, reasoning and log probabilities, over a real socket and with the official client."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from service.domain import Event, ReasoningDelta, TextDelta, TokenLogprob, ToolCallDelta
from service.engine.scripted.engine import Reply
from tests.support.service_under_test import ScriptedService, scripted_service, sse_events

FUNCTION: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOLS: list[Any] = [{"type": "function", "function": FUNCTION}, {"type": "function", "function": {"name": "hang_up"}}]


def steps(*events: Event) -> Reply:
    """One step an event."""
    return Reply(steps=tuple((event,) for event in events))


CALL = steps(
    ToolCallDelta(0, 0, "", id="call_a", name="get_weather"), ToolCallDelta(0, 0, '{"city": "'), ToolCallDelta(0, 0, 'Rome"}')
)
CALLS = steps(
    TextDelta(0, "One moment."),
    ToolCallDelta(0, 0, '{"city": "Rome"}', id="call_a", name="get_weather"),
    ToolCallDelta(0, 1, "{}", id="call_b", name="hang_up"),
)
THOUGHT = steps(ReasoningDelta(0, "Hm"), ReasoningDelta(0, "…"), TextDelta(0, "Yes"), TextDelta(0, "."))
A, B = TokenLogprob("a", -0.25, b"a"), TokenLogprob("b", -1.5, b"b", (TokenLogprob("c", -0.5, b"c"),))
MEASURED = steps(TextDelta(0, "a", (A,)), TextDelta(0, "b", (B,)))


@pytest.fixture
def fresh() -> Iterator[ScriptedService]:
    with scripted_service() as running:
        yield running


@pytest.fixture
def client(fresh: ScriptedService) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{fresh.url}/v1", api_key=fresh.key, max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI, fresh: ScriptedService, *, stream: bool, **fields: Any) -> Any:
    """The completion as the client has it, put together by its own accumulator where it was streamed."""
    body = fresh.body("What is the weather in Rome?", **fields)
    if not stream:
        return client.chat.completions.create(**body)
    with client.chat.completions.stream(**body) as events:
        return events.get_final_completion()


@pytest.mark.parametrize("stream", [True, False])
def test_a_call_arrives_whole_at_the_client(fresh: ScriptedService, client: openai.OpenAI, stream: bool) -> None:
    fresh.engine.enqueue(CALL)
    (choice,) = ask(client, fresh, stream=stream, tools=TOOLS, tool_choice="required").choices
    (call,) = choice.message.tool_calls
    assert (call.id, call.type, call.function.name, call.function.arguments) == (
        "call_a", "function", "get_weather", '{"city": "Rome"}',
    )  # fmt: skip
    assert (choice.finish_reason, choice.message.content or None) == ("tool_calls", None)


@pytest.mark.parametrize("stream", [True, False])
def test_parallel_calls_beside_words_arrive_in_order(fresh: ScriptedService, client: openai.OpenAI, stream: bool) -> None:
    fresh.engine.enqueue(CALLS)
    (choice,) = ask(client, fresh, stream=stream, tools=TOOLS).choices
    assert choice.message.content == "One moment."
    assert [(call.id, call.function.name) for call in choice.message.tool_calls] == [
        ("call_a", "get_weather"),
        ("call_b", "hang_up"),
    ]


def test_chunks_of_a_call_come_one_by_one(fresh: ScriptedService, client: openai.OpenAI) -> None:
    fresh.engine.enqueue(CALL)
    stream = client.chat.completions.create(**fresh.body(), tools=TOOLS, stream=True)
    pieces = [chunk.choices[0].delta.tool_calls for chunk in stream]
    heard = [(piece[0].id, piece[0].function and piece[0].function.arguments) for piece in pieces if piece]
    assert heard == [("call_a", ""), (None, '{"city": "'), (None, 'Rome"}')]


@pytest.mark.parametrize("stream", [True, False])
def test_functions_are_answered_as_they_were_asked(fresh: ScriptedService, client: openai.OpenAI, stream: bool) -> None:
    fresh.engine.enqueue(CALL)
    (choice,) = ask(client, fresh, stream=stream, functions=[FUNCTION], function_call="auto").choices
    assert choice.message.tool_calls is None
    assert (choice.message.function_call.name, choice.message.function_call.arguments) == ("get_weather", '{"city": "Rome"}')
    assert choice.finish_reason == "function_call"


def test_a_conversation_with_a_call_and_its_result_reaches_the_engine(fresh: ScriptedService, client: openai.OpenAI) -> None:
    fresh.engine.enqueue(CALL)
    body = fresh.body("Weather?", tools=TOOLS)
    said = client.chat.completions.create(**body).choices[0].message
    call = (said.tool_calls or [])[0]
    body["messages"] += [
        said.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 24 °C"},
    ]
    assert client.chat.completions.create(**body).choices[0].message.content == "Sunny, 24 °C"
    roles = [(message.role, len(message.tool_calls), message.tool_call_id) for message in fresh.engine.jobs[-1].messages]
    assert roles == [("user", 0, None), ("assistant", 1, None), ("tool", 0, "call_a")]


@pytest.mark.parametrize("stream", [True, False])
def test_thoughts_come_beside_the_content(fresh: ScriptedService, client: openai.OpenAI, stream: bool) -> None:
    fresh.engine.enqueue(THOUGHT)
    if stream:
        deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(**fresh.body(), stream=True)]
        thought = "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas)
        said = "".join(delta.content or "" for delta in deltas)
    else:
        message: Any = client.chat.completions.create(**fresh.body()).choices[0].message
        thought, said = message.reasoning_content, message.content
    assert (thought, said) == ("Hm…", "Yes.")


@pytest.mark.parametrize("stream", [True, False])
def test_log_probabilities_arrive_at_the_client(fresh: ScriptedService, client: openai.OpenAI, stream: bool) -> None:
    fresh.engine.enqueue(MEASURED)
    (choice,) = ask(client, fresh, stream=stream, logprobs=True, top_logprobs=1).choices
    first, second = choice.logprobs.content
    assert (first.token, first.logprob, first.bytes, first.top_logprobs) == ("a", -0.25, [97], [])
    assert (second.token, second.top_logprobs[0].token) == ("b", "c")


def ttft_sum_and_count(service: ScriptedService) -> tuple[float, float]:
    return service.metric("firstword_ttft_seconds_sum"), service.metric("firstword_ttft_seconds_count")


def test_the_first_word_is_a_call_as_well_and_never_a_thought(fresh: ScriptedService) -> None:
    slow_thought = Reply(
        steps=((ReasoningDelta(0, "Hm"),), (ToolCallDelta(0, 0, "{}", id="call_a", name="hang_up"),)), step_s=0.3
    )
    fresh.engine.enqueue(slow_thought)
    fresh.post(fresh.body(stream=True, tools=TOOLS))
    total_s, count = ttft_sum_and_count(fresh)
    assert count == 1
    assert total_s >= 0.3


def test_a_turn_that_only_thought_had_no_first_word(fresh: ScriptedService) -> None:
    fresh.engine.enqueue(steps(ReasoningDelta(0, "Hm")))
    *chunks, done = sse_events(fresh.post(fresh.body(stream=True)).text)
    assert (chunks[-1]["choices"][0]["finish_reason"], done) == ("stop", "[DONE]")
    assert ttft_sum_and_count(fresh)[1] == 0


def test_a_turn_that_breaks_inside_a_call_is_an_error_event(fresh: ScriptedService) -> None:
    fresh.engine.enqueue(Reply(steps=CALL.steps, fail_after=2))
    events = sse_events(fresh.post(fresh.body(stream=True, tools=TOOLS)).text)
    assert events[-1]["error"]["code"] == "engine_error"
    assert "[DONE]" not in events
