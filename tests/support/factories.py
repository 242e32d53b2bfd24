"""Small whole things for unit tests; each takes only what a test's story is about."""

from typing import Any

import orjson

from service.domain import ChatJob, Message, ModelCard, PreparedTurn, Sampling
from service.schema.request import ChatRequest, parse_request

CANARY = "canary-7f3a"
"""Stands for what must never be shown: a key, or words of a conversation."""
FINGERPRINT = "fp_test"


def make_card(*, max_model_len: int = 100, max_chars_per_token: int = 4) -> ModelCard:
    return ModelCard(
        name="m", created=0, max_model_len=max_model_len, max_chars_per_token=max_chars_per_token, fingerprint=FINGERPRINT
    )


def make_job(
    text: str = "Hello",
    *,
    n: int = 1,
    max_tokens: int | None = None,
    is_stream: bool = True,
    include_usage: bool = False,
    **more: Any,
) -> ChatJob:
    """`more`: any of a job's optional fields, or `sampling` in place of n."""
    return ChatJob(
        turn_id="turn-1",
        tenant="acme",
        model="m",
        messages=(Message("user", text),),
        sampling=more.pop("sampling", Sampling(n=n)),
        max_tokens=max_tokens,
        is_stream=is_stream,
        include_usage=include_usage,
        created=1_700_000_000,
        **more,
    )


def make_turn(job: ChatJob) -> PreparedTurn:
    return PreparedTurn(job=job, prompt_tokens=1, max_tokens=1, payload=None)


def make_body(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}


def make_request(**fields: Any) -> ChatRequest:
    return parse_request(orjson.dumps(make_body(**fields)), max_messages=10)
