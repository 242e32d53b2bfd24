"""Each field that is honoured, with its effect shown on the real engine."""

import json
import math
from typing import Any

import jsonschema
import openai
import pytest

from service.schema.response import ChatCompletion
from tests.support.process import ServiceProcess
from tests.support.service_under_test import sse_events, until

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
HANG_UP = {"type": "function", "function": {"name": "hang_up", "parameters": {"type": "object", "properties": {}}}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
QUESTION = "What will the weather be in Paris?"


def answer(service: ServiceProcess, text: str = QUESTION, /, **fields: Any) -> Any:
    body = service.body(text, **{"temperature": 0, "max_tokens": 48, **fields})
    return ChatCompletion.model_validate_json(service.post(body).content)


def said(service: ServiceProcess, text: str = QUESTION, /, **fields: Any) -> str:
    return answer(service, text, **fields).choices[0].message.content or ""


def test_temperature_0_is_greedy_and_so_is_top_p_0(service: ServiceProcess) -> None:
    greedy = said(service)
    assert said(service) == greedy
    assert said(service, temperature=1.5, top_p=0) == greedy
    assert len({said(service, temperature=1.5, seed=seed) for seed in range(4)}) > 1


def test_max_completion_tokens_wins_over_max_tokens(service: ServiceProcess) -> None:
    assert answer(service, max_tokens=40, max_completion_tokens=3, ignore_eos=True).usage.completion_tokens == 3


def test_min_tokens_keeps_it_speaking(service: ServiceProcess) -> None:
    assert answer(service, "Say: yes", max_tokens=40, min_tokens=40).usage.completion_tokens == 40


@pytest.mark.parametrize("penalty", ["presence_penalty", "frequency_penalty"])
def test_penalties_change_what_is_repeated(service: ServiceProcess, penalty: str) -> None:
    endless: dict[str, Any] = {"max_tokens": 120, "ignore_eos": True}  # Left alone, a small model goes round in circles.
    assert said(service, **{penalty: 2.0}, **endless) != said(service, **endless)


def test_repetition_penalty_top_k_and_min_p_have_effect(service: ServiceProcess) -> None:
    assert said(service, repetition_penalty=1.8) != said(service)
    # A few tokens only: further on, bfloat16 has ties, and each of two equals is the likeliest.
    for field in ({"top_k": 1}, {"min_p": 1.0}):
        assert said(service, temperature=2.0, max_tokens=6, **field) == said(service, max_tokens=6)


def test_logit_bias_forces_a_token(service: ServiceProcess) -> None:
    text = said(service, logit_bias={"28": 100}, max_tokens=4)  # 28 is the comma.
    assert text == ",,,,"


@pytest.mark.parametrize("stream", [True, False])
def test_stop_list_never_leaks_any_part(service: ServiceProcess, stream: bool) -> None:
    whole = said(service, max_tokens=60)
    stop = whole[20:30]
    body = service.body(QUESTION, temperature=0, max_tokens=60, stop=["never said", stop], stream=stream)
    response = service.post(body)
    if stream:
        chunks = sse_events(response.text)[:-1]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    else:
        text = response.json()["choices"][0]["message"]["content"]
    assert text == whole[: whole.index(stop)]


def test_logprobs_are_probabilities_of_the_tokens_said(service: ServiceProcess) -> None:
    choice = answer(service, logprobs=True, top_logprobs=3, max_tokens=6).choices[0]
    assert choice.logprobs is not None
    assert "".join(each.token for each in choice.logprobs.content) == choice.message.content
    for each in choice.logprobs.content:
        assert 0 < math.exp(each.logprob) <= 1
        assert len(each.top_logprobs) == 3
        assert each.top_logprobs[0].logprob == max(top.logprob for top in each.top_logprobs)
        assert bytes(each.bytes).decode(errors="replace") == each.token


def test_logprobs_stream(service: ServiceProcess) -> None:
    chunks = sse_events(service.post(service.body(stream=True, logprobs=True, max_tokens=4, temperature=0)).text)[:-1]
    tokens = [each for chunk in chunks for each in (chunk["choices"][0]["logprobs"] or {"content": []})["content"]]
    assert len(tokens) == 4


def test_json_object_parses(service: ServiceProcess) -> None:
    choice = answer(service, "What's the weather in Paris?", response_format={"type": "json_object"}, max_tokens=200).choices[0]
    assert choice.finish_reason == "stop"
    assert isinstance(json.loads(choice.message.content or ""), dict)


@pytest.mark.parametrize("seed", range(5))
def test_json_schema_always_validates(service: ServiceProcess, seed: int) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 12},
            "kind": {"enum": ["sun", "rain"]},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 3},
        },
        "required": ["city", "kind", "days"],
        "additionalProperties": False,
    }
    asked = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": schema}}
    text = said(service, response_format=asked, temperature=1.2, seed=seed, max_tokens=200)
    jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"$ref": "#"}, {"type": "string", "pattern": "(["}, {"enum": []}])
def test_schema_that_cannot_be_kept_is_400(service: ServiceProcess, schema: dict[str, Any]) -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    response = service.post(service.body(response_format=asked))
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "response_format"
    assert "/project" not in error["message"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("choice", "reason"), [("required", "tool_calls"), (NAMED, "stop")])
def test_a_call_that_must_be_made_is_made_and_fits_its_schema(
    service: ServiceProcess, stream: bool, choice: Any, reason: str
) -> None:
    """Through the official client, which puts the pieces of a streamed call together."""
    fields = service.body(QUESTION, tools=[WEATHER], tool_choice=choice, temperature=0, max_tokens=100)
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0) as client:
        if stream:
            with client.chat.completions.stream(**fields) as events:
                events.until_done()
                completion = events.get_final_completion()
        else:
            completion = client.chat.completions.create(**fields)
    said_by = completion.choices[0]
    assert said_by.finish_reason == reason
    assert said_by.message.tool_calls
    call = said_by.message.tool_calls[0]
    assert call.type == "function" and call.id
    assert call.function.name == "get_weather"
    jsonschema.validate(json.loads(call.function.arguments), WEATHER["function"]["parameters"])


def test_tool_choice_none_and_auto_answer_in_words_or_calls(service: ServiceProcess) -> None:
    silent = answer(service, tools=[WEATHER, HANG_UP], tool_choice="none").choices[0]
    assert silent.message.tool_calls is None and silent.message.content
    free = answer(service, tools=[WEATHER, HANG_UP]).choices[0]
    assert free.message.content or free.message.tool_calls


def test_one_call_where_parallel_calls_are_not_wanted(service: ServiceProcess) -> None:
    message = (
        answer(service, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False, max_tokens=200).choices[0].message
    )
    assert message.tool_calls is not None and len(message.tool_calls) == 1


def test_legacy_functions_answer_as_function_call(service: ServiceProcess) -> None:
    choice = answer(service, functions=[WEATHER["function"]], function_call={"name": "get_weather"}, max_tokens=100).choices[0]
    assert choice.message.function_call is not None
    assert choice.message.function_call.name == "get_weather"


def test_a_call_and_its_result_go_back_in_the_history(service: ServiceProcess) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris", "days": 1}'}}
    body = service.body(tools=[WEATHER], temperature=0, max_tokens=24) | {
        "messages": [
            {"role": "developer", "content": "You are brief."},
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees and sunny"},
        ]
    }
    assert ChatCompletion.model_validate_json(service.post(body).content).choices[0].message.content


def test_what_every_answer_carries(service: ServiceProcess) -> None:
    response = service.post(service.body(service_tier="auto"), headers={"x-request-id": "call-7/turn-3"})
    completion = ChatCompletion.model_validate_json(response.content)
    assert completion.system_fingerprint.startswith("fp_")
    assert completion.service_tier == "default"
    assert completion.usage.completion_tokens_details.reasoning_tokens == 0
    assert response.headers["x-request-id"] == "call-7/turn-3"
    until(lambda: '"request_id": "call-7/turn-3"' in service.output)


def test_a_client_cannot_promote_itself(service: ServiceProcess) -> None:
    promoting: dict[str, Any] = {
        "priority": -100,
        "cache_salt": "x",
        "kv_transfer_params": {"prompt_token_ids": [1, 2]},
        "vllm_xargs": {"a": 1},
    }
    assert said(service, **promoting) == said(service)
