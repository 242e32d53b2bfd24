"""Which prompts are rendered on the event loop, and which on a thread."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain import Message
from service.engine.vllm.rendering import is_small
from tests.support.factories import make_job


def tool(**properties: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "get_balance", "parameters": {"type": "object", "properties": properties}}}


@pytest.mark.parametrize(
    ("messages", "tools", "is_it"),
    [
        ([Message("user", "Hi")], None, True),
        ([Message("user", "Hi")], [tool(account={"type": "string"})], True),
        ([Message("user", "x" * 2500)], None, False),
        ([Message("user", "Hi")] * 60, None, False),  # A template has work for each message.
        ([Message("user", "Hi")], [tool(account={"type": "string", "description": "x" * 2500})], False),
        ([Message("user", "Hi")], [tool(account={"enum": list(range(1000))})], False),
        ([Message("user", "Hi")], [tool(**{f"p{number}": {} for number in range(500)})], False),
    ],
)
def test_small_is_what_takes_no_longer_than_the_way_to_a_thread(
    messages: list[Message], tools: list[dict[str, Any]] | None, is_it: bool
) -> None:
    assert is_small(replace(make_job(), messages=tuple(messages)), tools) is is_it
