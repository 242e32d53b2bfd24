"""Continuous batching without a model: turns share steps whose time grows with the turns and prompt tokens in them.

As in vLLM, each step adds one token to every decoding turn and computes a part of the prompts, in order of arrival. A prefix
cache holds the blocks of prompts that were computed before.
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
    """Costs of one step in seconds, and its limits."""

    base_s: float
    """Seconds that every step takes."""
    turn_s: float
    """Additional seconds for each decoding turn."""
    prompt_token_s: float
    """Additional seconds for each prompt token computed in the step."""
    most_prompt_tokens: int
    """Maximum number of prompt tokens in one step."""
    cache_blocks: int
    """Size of the prefix cache in blocks. 0 turns it off."""


@dataclass(eq=False)
class _Seat:
    """One turn in the batch."""

    prompt_left: int
    """Prompt tokens that are not computed yet."""
    prompt_tokens: int
    """Prompt tokens to compute in total."""
    tokens: int = 0
    """Completion tokens generated so far."""
    has_news: asyncio.Event = field(default_factory=asyncio.Event)


class Batch:
    """One engine's batch. It runs a task while it has turns."""

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
        """Return the prompt tokens in whole cached blocks. As in a real engine, at least one token is left to compute."""
        blocks = _blocks(prompt, salt)
        hits = 0
        for block in blocks:
            if block not in self._cache:
                break
            self._cache.move_to_end(block)
            hits += 1
        return min(hits, (prompt_tokens - 1) // _BLOCK_TOKENS) * _BLOCK_TOKENS

    async def tokens(self, prompt: str, salt: str | None, uncached_tokens: int) -> AsyncGenerator[None, None]:
        """Yield once for each token, without end. The prompt is computed before the first token. Closing leaves the batch."""
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
        """Put computed text into the prefix cache: a prompt, or a prompt and its answer."""
        for block in _blocks(prompt, salt):
            self._cache[block] = None
            self._cache.move_to_end(block)
        while len(self._cache) > self._costs.cache_blocks:
            self._cache.popitem(last=False)


def _blocks(prompt: str, salt: str | None) -> list[int]:
    """Return the hash of the prefix at the end of each whole block."""
    hashes, current = [], hash(salt)
    for start in range(0, len(prompt) - _BLOCK_CHARS + 1, _BLOCK_CHARS):
        current = hash((current, prompt[start : start + _BLOCK_CHARS]))
        hashes.append(current)
    return hashes
