"""Marked words in everything that a caller could say or show, sent in every way that could go wrong."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from tests.support.service_under_test import ServiceUnderTest

SAID = "canary-5aid"
"""Stands in messages, and in every field that is the caller's own words."""
KEY_PART = "canary-53cret"
"""Stands in keys, valid and not."""
_TOOL = {"type": "function", "function": {"name": f"look_{SAID}", "description": SAID, "parameters": {"type": "object"}}}
_SCHEMA = {"type": "object", "properties": {SAID: {"type": "nonsense", "description": SAID}}}


def _bodies(service: ServiceUnderTest) -> Iterator[Any]:
    said = {"role": "user", "content": f"My number is {SAID}."}
    good = service.body()
    yield good | {"messages": [said]}
    yield good | {"messages": [{"role": "system", "content": SAID}, said], "stream": True, "user": SAID, "metadata": {SAID: SAID}}
    yield good | {"messages": [said], "tools": [_TOOL]}
    yield good | {"messages": [said, {"role": "tool", "tool_call_id": SAID, "content": SAID}]}
    yield good | {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"data:{SAID}"}}]}]}
    yield good | {"messages": [{"role": "user", "content": [{"type": "text", "text": SAID, SAID: SAID}]}]}
    yield good | {"messages": [{"role": "assistant", "tool_calls": [{"id": SAID, "function": {"arguments": SAID}}]}]}
    yield good | {"messages": [said], "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": _SCHEMA}}}
    yield good | {"messages": [said], "stop": [SAID] * 50}
    yield good | {"messages": [said], "logit_bias": {SAID: 1}}
    yield good | {"messages": [said], "chat_template_kwargs": {"x": SAID}}
    yield good | {"messages": [said | {"content": f"{SAID} " * 20_000}]}
    yield good | {"messages": SAID}
    yield [SAID]


def send_everything(service: ServiceUnderTest) -> list[httpx.Response]:
    """What came back."""
    url = f"{service.url}/v1/chat/completions"
    good, key = service.body(f"Say {SAID}."), {"x-api-key": service.key}
    answers = [httpx.post(url, headers=key, json=body, timeout=60) for body in _bodies(service)]
    answers += [httpx.post(url, headers=headers, json=good, timeout=60) for headers in _wrong_headers(service.key)]
    json_type = key | {"content-type": "application/json"}
    answers += [
        httpx.post(url, headers=json_type, content=f'{{"messages": [{{"role": "user", "content": "{SAID}'.encode()),
        httpx.post(url, headers=json_type, content=b"\xff" + SAID.encode()),
        httpx.post(url, headers=key | {"content-type": f"text/{SAID}"}, content=json.dumps(good)),
        httpx.get(f"{service.url}/{SAID}?key={KEY_PART}"),
        httpx.get(f"{service.url}/v1/models", headers={"authorization": f"Bearer {KEY_PART}"}),
    ]
    # One who hangs up in the midst of it.
    with httpx.stream("POST", url, headers=key, json=good | {"stream": True, "max_tokens": 400}, timeout=60) as answer:
        next(answer.iter_bytes(), None)
    return answers


def _wrong_headers(key: str) -> list[dict[str, str]]:
    return [
        {},
        {"x-api-key": KEY_PART},
        {"authorization": f"Bearer {KEY_PART}"},
        {"authorization": f"Basic {KEY_PART}", "cookie": KEY_PART},
        {"x-api-key": key, "authorization": f"Bearer {KEY_PART}", "x-firstword-ttft-budget": SAID},
        {"x-api-key": key, "traceparent": SAID, "tracestate": f"{SAID}={SAID}", "baggage": f"said={SAID}", "user-agent": SAID},
    ]
