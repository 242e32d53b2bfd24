"""The batching scripted engine: turns share steps, and each step reports its content."""

import asyncio
from contextlib import aclosing

from service.domain import EngineStep
from service.engine.scripted.batch import Batch, BatchCosts
from tests.support.virtual_time import now_s, run_in_virtual_time

COSTS = BatchCosts(base_s=0.1, turn_s=0.01, prompt_token_s=0.001, most_prompt_tokens=100, cache_blocks=0)


async def read(batch: Batch, prompt_tokens: int, tokens: int) -> float:
    """Run one turn. Return the time of its first token."""
    first_s = 0.0
    async with aclosing(batch.tokens("", None, prompt_tokens)) as ticks:
        for _ in range(tokens):
            await anext(ticks)
            first_s = first_s or now_s()
    return first_s


def test_prompts_wait_for_room_in_a_step_and_no_turn_is_counted_twice() -> None:
    steps: list[EngineStep] = []

    async def story() -> tuple[float, float, float]:
        batch = Batch(COSTS, steps.append, clock=now_s)
        turns = (read(batch, 80, 1), read(batch, 80, 20), read(batch, 80, 20))  # The first turn ends after one token.
        return await asyncio.gather(*turns)

    first, second, third = run_in_virtual_time(story())
    assert first < second < third
    assert [step.waiting for step in steps[:2]] == [1, 0]
    assert all(step.waiting >= 0 and step.running >= 0 for step in steps)
    assert sum(step.prefilled_tokens for step in steps) == 240
    assert sum(step.generated_tokens for step in steps) >= 41
