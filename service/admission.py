"""Room for turns: two steps, so that a refusal costs nothing and a place is held exactly as long as it is used.

`enter` is cheap and comes before any template or tokenizer work; `Place.start` follows once the exact prompt tokens
are known. Both are scopes: a place can't leak.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from service.domain import ChatJob, ModelCard, PreparedTurn
from service.errors import Overloaded, PromptTooLong


class Place:
    """One turn's place in the room: waiting until `start`, running inside it."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate

    @contextmanager
    def start(self, turn: PreparedTurn) -> Iterator[None]:
        """The turn runs in the engine within this scope."""
        self._gate.running += 1
        try:
            yield
        finally:
            self._gate.running -= 1


class Gate:
    """How many turns may be in the service at once."""

    def __init__(self, *, max_turns: int, model: ModelCard) -> None:
        self.model = model
        self.entered = 0
        self.running = 0
        self._max_turns = max_turns
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def waiting(self) -> int:
        """Turns that have entered and not started: being rendered and tokenized."""
        return self.entered - self.running

    @contextmanager
    def enter(self, job: ChatJob) -> Iterator[Place]:
        """Hold a place for the whole turn. Raises `Overloaded`, or `PromptTooLong` for what cannot fit whatever its tokens."""
        least_tokens = -(-job.prompt_chars // self.model.max_chars_per_token)
        if least_tokens > self.model.max_model_len:
            raise PromptTooLong(limit=self.model.max_model_len, given=least_tokens, is_lower_bound=True)
        if self.entered >= self._max_turns:
            raise Overloaded(limit=self._max_turns)
        self.entered += 1
        self._empty.clear()
        try:
            yield Place(self)
        finally:
            self.entered -= 1
            if not self.entered:
                self._empty.set()

    async def until_empty(self) -> None:
        """Return once no turn is in the service."""
        await self._empty.wait()
