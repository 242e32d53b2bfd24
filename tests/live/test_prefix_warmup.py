"""A configured system prompt is in the real engine's prefix cache when a call's first turn comes, for each tenant."""

import pytest

from tests.live.conftest import SYSTEM_PROMPT
from tests.support.process import ServiceProcess
from tests.support.service_under_test import KEY, OTHER_KEY

CPU_BLOCK = 32


def usage(service: ServiceProcess, key: str, system: str) -> tuple[int, int]:
    """Prompt tokens of a call's first turn, and how many of them were cached."""
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "Good morning."}]
    reported = service.post(service.body() | {"messages": messages}, headers={"x-api-key": key}).json()["usage"]
    return reported["prompt_tokens"], reported["prompt_tokens_details"]["cached_tokens"]


@pytest.mark.parametrize("key", [KEY, OTHER_KEY], ids=["acme", "other"])
def test_a_first_turn_finds_its_system_prompt(service: ServiceProcess, key: str) -> None:
    prompt_tokens, cached_tokens = usage(service, key, SYSTEM_PROMPT)
    assert prompt_tokens > 1000
    assert cached_tokens > prompt_tokens - 2 * CPU_BLOCK
    assert usage(service, key, f"For {key}. {SYSTEM_PROMPT}")[1] == 0, "this one was never computed"
    assert service.metric("firstword_system_prompt_evictions_total") == 0
