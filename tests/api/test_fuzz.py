"""Thousands of generated requests: each gets an answer in a documented shape, and none gets a 5xx.

schemathesis reads our OpenAPI document and makes requests that match it, and requests that do not. hypothesis makes bodies from
the fields' names and from values of every JSON type; most of them are wrong.
"""

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from service.schema.request import ChatRequest
from service.schema.response import ChatCompletion, ChatCompletionChunk, ErrorBody
from tests.support.service_under_test import KEY, ScriptedService, scripted_service, sse_events

# `make test-slow` makes it thousands.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[ScriptedService]:
    with scripted_service() as running:
        yield running


@pytest.fixture(scope="module")
def client(fuzzed: ScriptedService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fuzzed.url, headers={"x-api-key": fuzzed.key}, timeout=10) as open_client:
        yield open_client


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)
roles = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function", "caller", ""])
parts = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["text", "refusal", "image_url", "input_audio", "x"]) | anything, "text": anything}
)
messages = st.fixed_dictionaries(
    {"role": roles | anything},
    optional={
        "content": st.text(max_size=30) | st.lists(parts, max_size=3) | anything,
        "name": anything,
        "tool_calls": anything,
        "tool_call_id": st.text(max_size=5) | anything,
        "function_call": anything,
        "refusal": anything,
    },
)
good = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text(max_size=30)})
fields = st.dictionaries(st.sampled_from(sorted(ChatRequest.model_fields)) | st.text(max_size=8), anything, max_size=4)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=QUIET)
@given(said=st.lists(good | messages, max_size=4), extra=fields, stream=st.booleans())
def test_any_body_gets_an_answer_in_a_documented_shape(
    fuzzed: ScriptedService, client: httpx.Client, said: list[Any], extra: dict[str, Any], stream: bool
) -> None:
    body = {"model": fuzzed.model, "messages": said, "max_tokens": 4, "stream": stream} | extra
    response = client.post("/v1/chat/completions", content=json.dumps(body), headers={"content-type": "application/json"})
    check(response)


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=QUIET)
@given(
    body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode) | anything.map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_get_an_answer_in_a_documented_shape(client: httpx.Client, body: bytes) -> None:
    check(client.post("/chat/completions", content=body, headers={"content-type": "application/json"}))


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=QUIET)
@given(head=st.binary(max_size=120), tail=st.binary(max_size=120))
def test_any_bytes_on_the_socket_leave_the_service_well(fuzzed: ScriptedService, head: bytes, tail: bytes) -> None:
    with socket.create_connection((fuzzed.host, fuzzed.port), timeout=5) as sock:
        sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n" + head + b"\r\n\r\n" + tail)
    assert fuzzed.services.lifecycle.is_ready


def test_after_all_that_nothing_is_left_behind(fuzzed: ScriptedService) -> None:
    assert fuzzed.post(fuzzed.body()).status_code == 200
    assert (fuzzed.services.admission.entered, fuzzed.engine.running) == (0, 0)


def check(response: httpx.Response) -> None:
    """200 in OpenAI's shapes, or a 4xx in its error shape."""
    if response.status_code != 200:
        assert 400 <= response.status_code < 500, response.text
        ErrorBody.model_validate_json(response.content)
    elif response.headers["content-type"].startswith("text/event-stream"):
        *chunks, done = sse_events(response.text)
        assert done == "[DONE]"
        for chunk in chunks:
            ChatCompletionChunk.model_validate(chunk)
    else:
        ChatCompletion.model_validate_json(response.content)


def test_our_own_document_holds(fuzzed: ScriptedService) -> None:
    """Every operation, called as the document allows and as it does not."""
    document = schemathesis.openapi.from_url(f"{fuzzed.url}/openapi.json")
    checks = [not_a_server_error, status_code_conformance, response_schema_conformance]
    operations = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == 4
    for operation in operations:

        @settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=QUIET, database=None)
        @given(case=operation.as_strategy())
        def call(case: Any) -> None:
            case.call_and_validate(headers={"x-api-key": KEY}, checks=checks)

        call()
