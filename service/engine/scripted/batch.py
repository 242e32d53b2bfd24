"""Continuous batching without a model: turns share steps whose time grows with the turns and prompt tokens in them.

As in vLLM: each step moves every decoding turn on by a token and computes a piece of the prompts, first come first served;
blocks of a prompt that were computed before are found in a prefix cache.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from service.domain import EngineStep

_BLOCK_CHARS, _BLOCK_TOKENS = 64, 16


@dataclass(frozen=True)
class BatchCosts:
    """Seconds a step takes: `base_s`, and so much for each turn and each prompt token in it."""

    base_s: float
    turn_s: float
    prompt_token_s: float
    most_prompt_tokens: int
    cache_blocks: int


@dataclass(eq=False)
class _Seat:
    prompt_left: int
    prompt_tokens: int
    """To be computed, all in all."""
    tokens: int = 0
    has_news: asyncio.Event = field(default_factory=asyncio.Event)


class Batch:
    """One engine's batch. It runs a task while any turn is in it."""

    def __init__(
        self, costs: BatchCosts, on_step: Callable[[EngineStep], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._costs = costs
        self._on_step = on_step
        self._clock = clock
        self._seats: list[_Seat] = []
        self._cache: OrderedDict[int, None] = OrderedDict()
        self._running: asyncio.Task[None] | None = None

    def cached_tokens(self, prompt: str, salt: str | None, prompt_tokens: int) -> int:
        """Prompt tokens in whole cached blocks; at least one is left to compute, as an engine does."""
        blocks = _blocks(prompt, salt)
        hits = 0
        for block in blocks:
            if block not in self._cache:
                break
            self._cache.move_to_end(block)
            hits += 1
        return min(hits, (prompt_tokens - 1) // _BLOCK_TOKENS) * _BLOCK_TOKENS

    async def tokens(self, prompt: str, salt: str | None, uncached_tokens: int) -> AsyncGenerator[None, None]:
        """One item a token, for ever; the prompt is computed before the first. Closing leaves the batch."""
        seat = _Seat(prompt_left=uncached_tokens, prompt_tokens=uncached_tokens)
        self._seats.append(seat)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        taken = 0
        try:
            while True:
                while taken == seat.tokens:
                    seat.has_news.clear()
                    await seat.has_news.wait()
                if taken == 0:
                    self.remember(prompt, salt)
                taken += 1
                yield
        finally:
            self._seats.remove(seat)

    async def _run(self) -> None:
        while self._seats:
            decoding = [seat for seat in self._seats if not seat.prompt_left]
            room = self._costs.most_prompt_tokens
            pieces: list[tuple[_Seat, int]] = []
            for seat in self._seats:
                if seat.prompt_left and room:
                    piece = min(seat.prompt_left, room)
                    room -= piece
                    pieces.append((seat, piece))
            waiting = len(self._seats) - len(decoding) - len(pieces)
            computed = self._costs.most_prompt_tokens - room
            await asyncio.sleep(self._costs.base_s + self._costs.turn_s * len(decoding) + self._costs.prompt_token_s * computed)
            for seat, piece in pieces:
                seat.prompt_left -= piece
            ready = [seat for seat, _ in pieces if not seat.prompt_left]
            for seat in decoding + ready:
                seat.tokens += 1
                seat.has_news.set()
            self._on_step(
                EngineStep(
                    at_s=self._clock(),
                    prefilled_tokens=sum(seat.prompt_tokens for seat in ready),
                    generated_tokens=len(decoding) + len(ready),
                    running=len(decoding) + len(pieces),
                    waiting=waiting,
                    kv_usage=0.0,
                )
            )

    def remember(self, prompt: str, salt: str | None) -> None:
        """What was computed is in the cache: a prompt, or a prompt and what was said to it."""
        for block in _blocks(prompt, salt):
            self._cache[block] = None
            self._cache.move_to_end(block)
        while len(self._cache) > self._costs.cache_blocks:
            self._cache.popitem(last=False)


def _blocks(prompt: str, salt: str | None) -> list[int]:
    """The prefix's hash at the end of each whole block."""
    hashes, current = [], hash(salt)
    for start in range(0, len(prompt) - _BLOCK_CHARS + 1, _BLOCK_CHARS):
        current = hash((current, prompt[start : start + _BLOCK_CHARS]))
        hashes.append(current)
    return hashes
