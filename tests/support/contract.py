"""The contract, as tests that hold for any engine. `tests/api/test_contract.py` runs them on the scripted engine in seconds,
`tests/live/test_contract.py` on the real service process with real vLLM.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import openai
import pytest

from service.schema.response import ChatCompletion, ChatCompletionChunk, ErrorBody, ModelList
from tests.support.service_under_test import NO_TLS, ServiceUnderTest, sse_events, until

PATHS = ["/v1/chat/completions", "/chat/completions"]


@pytest.mark.parametrize("path", PATHS)
def test_answer_is_a_chat_completion(service: ServiceUnderTest, path: str) -> None:
    response = service.post(service.body(), path=path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = ChatCompletion.model_validate_json(response.content)
    assert answer.model == service.model
    assert answer.choices[0].message.content
    assert 0 < answer.usage.completion_tokens <= 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("path", PATHS)
def test_stream_is_chunks_with_one_finish_reason_and_done(service: ServiceUnderTest, path: str) -> None:
    response = service.post(service.body(stream=True), path=path)
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, done = sse_events(response.text)
    assert done == "[DONE]"
    parsed = [ChatCompletionChunk.model_validate(chunk) for chunk in chunks]
    assert len({chunk.id for chunk in parsed}) == 1
    assert [chunk.choices[0].delta.role for chunk in parsed].count("assistant") == 1
    assert [chunk.choices[0].finish_reason is not None for chunk in parsed] == [False] * (len(parsed) - 1) + [True]
    assert "usage" not in chunks[0]


def test_stream_and_answer_say_the_same(service: ServiceUnderTest) -> None:
    body = service.body(temperature=0)
    whole = service.post(body).json()["choices"][0]["message"]["content"]
    chunks = sse_events(service.post({**body, "stream": True}).text)[:-1]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == whole


def test_usage_chunk_comes_last_where_asked(service: ServiceUnderTest) -> None:
    body = service.body(stream=True, stream_options={"include_usage": True}, temperature=0)
    *chunks, done = sse_events(service.post(body).text)
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    usage = chunks[-1]["usage"]
    assert usage["completion_tokens"] == service.post(service.body(temperature=0)).json()["usage"]["completion_tokens"]


def test_first_body_bytes_hold_role_and_first_text(service: ServiceUnderTest) -> None:
    with socket.create_connection((service.host, service.port), timeout=60) as sock:
        sock.sendall(service.raw_request(service.body(stream=True)))
        received = b""
        while b"data: " not in received:
            received += sock.recv(65536)
    first = [event for event in received.split(b"data: ")[1:] if b"chat.completion.chunk" in event]
    assert b'"role":"assistant"' in first[0]
    assert b'"content":"' in first[1] and b'"content":""' not in first[1]


def test_n_choices(service: ServiceUnderTest) -> None:
    answer = ChatCompletion.model_validate_json(service.post(service.body(n=3)).content)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert all(choice.finish_reason for choice in answer.choices)


def test_max_tokens_ends_with_length(service: ServiceUnderTest) -> None:
    answer = service.post(service.body(max_tokens=2, ignore_eos=True)).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
def test_models_lists_the_model(service: ServiceUnderTest, path: str) -> None:
    listed = ModelList.model_validate_json(service.get(path, headers={"x-api-key": service.key}).content)
    assert [model.id for model in listed.data] == [service.model]


def test_unknown_fields_do_no_harm(service: ServiceUnderTest) -> None:
    extras: dict[str, Any] = {
        "user": "u", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "parallel_tool_calls": True,
        "prediction": None, "tools": [], "x_platform": {"deep": [1, {"er": None}]}, "priority": -5, "cache_salt": "s",
    }  # fmt: skip
    assert service.post(service.body(**extras)).status_code == 200


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_any_effort_is_taken_by_any_model(service: ServiceUnderTest, effort: str) -> None:
    """Templates know few of these levels, and some refuse the others."""
    response = service.post(service.body(reasoning_effort=effort))
    assert response.status_code == 200
    assert ChatCompletion.model_validate_json(response.content).choices[0].message.content


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_an_assistants_thoughts_may_be_sent_back(service: ServiceUnderTest, field: str) -> None:
    history = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi.", field: "The user greets me."},
        {"role": "user", "content": "Count from one to five."},
    ]
    assert service.post(service.body(messages=history)).status_code == 200


def test_a_stream_and_an_answer_come_from_the_same_system(service: ServiceUnderTest) -> None:
    answer = ChatCompletion.model_validate_json(service.post(service.body()).content)
    chunks = sse_events(service.post(service.body(stream=True)).text)[:-1]
    assert {chunk["system_fingerprint"] for chunk in chunks} == {answer.system_fingerprint}


@pytest.mark.parametrize(("asked", "reported"), [("auto", "default"), ("flex", "default"), (None, None)])
def test_the_tier_is_told_to_who_asks(service: ServiceUnderTest, asked: str | None, reported: str | None) -> None:
    assert ChatCompletion.model_validate_json(service.post(service.body(service_tier=asked)).content).service_tier == reported
    chunks = sse_events(service.post(service.body(service_tier=asked, stream=True)).text)[:-1]
    assert {ChatCompletionChunk.model_validate(chunk).service_tier for chunk in chunks} == {reported}


@pytest.mark.parametrize(
    "offered",
    [
        {"tools": [{"type": "function", "function": {"name": "hang_up"}}], "tool_choice": "none"},
        {"functions": [{"name": "hang_up"}], "function_call": "none"},
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_tools_that_may_not_be_called_are_not(service: ServiceUnderTest, offered: dict[str, Any], stream: bool) -> None:
    response = service.post(service.body(stream=stream, **offered))
    assert response.status_code == 200
    assert '"tool_calls"' not in response.text
    assert '"function_call"' not in response.text


@pytest.mark.parametrize("stream", [True, False])
def test_the_callers_request_id_comes_back(service: ServiceUnderTest, stream: bool) -> None:
    response = service.post(service.body(stream=stream), headers={"x-request-id": "call-42"})
    assert response.headers.get_list("x-request-id") == ["call-42"]
    assert service.post(service.body(stream=stream)).headers["x-request-id"] != "call-42"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "{key}"},
        {"Authorization": "Bearer {key}"},
        {"authorization": "bearer {key}"},
        {"Authorization": "Bearer unused", "x-api-key": "{key}"},
    ],
)
def test_either_auth_header_lets_in(service: ServiceUnderTest, headers: dict[str, str]) -> None:
    sent = {name: value.format(key=service.key) for name, value in headers.items()}
    assert httpx.post(f"{service.url}/v1/chat/completions", json=service.body(), headers=sent, timeout=60).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"x-api-key": "wrong"}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic dTpw"}, {"x-api-key": ""}]
)
@pytest.mark.parametrize("path", [*PATHS, "/v1/models"])
def test_without_a_valid_key_401(service: ServiceUnderTest, path: str, headers: dict[str, str]) -> None:
    method = "GET" if path.endswith("models") else "POST"
    response = httpx.request(method, service.url + path, json=service.body() if method == "POST" else None, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert ErrorBody.model_validate_json(response.content).error.code == "invalid_api_key"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/openapi.json"])
def test_open_paths_need_no_key(service: ServiceUnderTest, path: str) -> None:
    assert service.get(path).status_code == 200


@pytest.mark.parametrize(("auth", "path_prefix"), [("bearer", "/v1"), ("x-api-key", "/v1"), ("bearer", ""), ("x-api-key", "")])
def test_openai_client(service: ServiceUnderTest, auth: str, path_prefix: str) -> None:
    is_bearer = auth == "bearer"
    client = openai.OpenAI(
        base_url=service.url + path_prefix,
        api_key=service.key if is_bearer else "unused",
        default_headers={} if is_bearer else {"x-api-key": service.key},
        max_retries=0,
    )
    answer = client.chat.completions.create(**service.body(temperature=0))
    assert answer.choices[0].message.content
    stream = client.chat.completions.create(**service.body(temperature=0), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == answer.choices[0].message.content
    assert client.models.list().data[0].id == service.model
    client.close()


def test_openai_async_client(service: ServiceUnderTest) -> None:
    async def talk() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0) as client:
            answer = await client.chat.completions.create(**service.body(temperature=0))
            stream = await client.chat.completions.create(**service.body(temperature=0), stream=True)
            return answer.choices[0].message.content, "".join([c.choices[0].delta.content or "" async for c in stream])

    whole, streamed = asyncio.run(talk())
    assert whole and streamed == whole


def test_openai_client_sees_its_own_error_classes(service: ServiceUnderTest) -> None:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError) as missing:
            client.chat.completions.create(**service.body() | {"model": "gpt-none"})
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError) as long:
            client.chat.completions.create(**service.body("word " * 20_000))
        assert long.value.code == "context_length_exceeded"
        assert "8192" in long.value.message
    stranger = openai.OpenAI(base_url=f"{service.url}/v1", api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()


def test_sixteen_streams_make_progress_together(service: ServiceUnderTest) -> None:
    """Continuous batching: all are told their stories at the same time. None ends by itself, however slow we are to listen."""

    async def begin(client: httpx.AsyncClient, stories: AsyncExitStack, number: int) -> AsyncIterator[str]:
        body = service.body(f"Tell me story number {number}.", stream=True, max_tokens=4000, ignore_eos=True)
        story = await stories.enter_async_context(client.stream("POST", "/v1/chat/completions", json=body))
        lines = story.aiter_lines()
        await anext(line async for line in lines if '"content":' in line)
        return lines  # Whoever lets go of them hangs up.

    async def listen() -> float:
        headers = {"x-api-key": service.key, "x-firstword-ttft-budget": "30"}  # On a slow machine, their prompts take turns.
        plain = httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60, verify=NO_TLS)
        async with plain as client, AsyncExitStack() as stories:
            reported = await asyncio.gather(*(begin(client, stories, number) for number in range(16)))
            running = await asyncio.to_thread(service.metric, "firstword_turns_running")
            assert len(reported) == 16
            return running

    assert asyncio.run(listen()) == 16
    until(lambda: service.metric("firstword_turns_running") == 0, within_s=20)


def test_openapi_describes_the_real_shapes(service: ServiceUnderTest) -> None:
    document = service.get("/openapi.json").json()
    for path in PATHS:
        operation = document["paths"][path]["post"]
        assert operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("/ChatRequest")
        assert {"200", "400", "401", "404", "413", "415", "503"} <= set(operation["responses"])
        headers = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "header"}
        assert headers == {"x-firstword-ttft-budget", "x-firstword-frames"}
    assert {"ChatRequest", "ChatCompletion", "ChatCompletionChunk", "ErrorBody"} <= set(document["components"]["schemas"])
