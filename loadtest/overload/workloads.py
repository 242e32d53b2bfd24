"""The workloads. All random values come from a seed and the call's name, so they are the same for every server."""

import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadtest.overload.client import Answer
from loadtest.overload.texts import Texts

PROMPT_TOKENS = OUTPUT_TOKENS = 64
AGENTS = 4
SYSTEM_TOKENS = 1000
TURNS_PER_CALL = 5
USER_WORDS = (10, 30)
VOICE_TOKENS = (20, 80)
BARGE_IN_SHARE = 0.1
BARGE_IN_AFTER = (2, 15)
"""Range of the number of pieces of text before a barge-in."""
PAUSE_S = (1.0, 4.0)


@dataclass(slots=True)
class Turn:
    """One turn of one call, and its answer."""

    call: str
    position: int
    """Index within the call. 0 is the first turn."""
    due_at: float
    """Planned send time, in seconds on the monotonic clock."""
    is_last: bool
    drop_after: int | None = None
    """Pieces of text after which the caller barges in. None: no barge-in."""
    answer: Answer = field(default_factory=Answer)


Take = Callable[[Turn, dict[str, Any]], Awaitable[None]]
"""Sends a turn when it is due, and waits for the end of its answer."""


class Workload(Protocol):
    """A kind of load."""

    name: str
    turns_per_call: int
    settle_s: float
    """Seconds until the number of running turns is about stable."""

    def longest_s(self, ttft_s: float, tpot_s: float) -> float:
        """Longest possible duration of a call in which each turn is within these bounds, in seconds."""
        ...

    async def call(self, name: str, due_at: float, take: Take) -> None:
        """Run one call. Its first turn is due at `due_at`."""
        ...

    def first_words(self) -> Iterator[dict[str, Any]]:
        """Requests that fill the prefix cache with the prompts that later calls share."""
        ...


class Uniform:
    """Independent turns with 64 prompt tokens and 64 output tokens."""

    name = "uniform"
    turns_per_call = 1
    settle_s = 10.0

    def __init__(self, texts: Texts, seed: int) -> None:
        self._texts, self._seed = texts, seed

    def longest_s(self, ttft_s: float, tpot_s: float) -> float:
        return ttft_s + OUTPUT_TOKENS * tpot_s

    async def call(self, name: str, due_at: float, take: Take) -> None:
        prompt = self._texts.prompt_of(PROMPT_TOKENS, random.Random(f"{self._seed}/uniform/{name}"))
        await take(Turn(name, 0, due_at, is_last=True), _body([_said("user", prompt)], OUTPUT_TOKENS))

    def first_words(self) -> Iterator[dict[str, Any]]:
        return iter(())


class Voice:
    """Calls to one of four agents, with a system prompt per agent, a growing history, pauses and barge-ins.

    A turn that is refused or fails ends its call.
    """

    name = "voice"
    turns_per_call = TURNS_PER_CALL
    settle_s = 40.0

    def __init__(self, texts: Texts, seed: int) -> None:
        self._texts, self._seed = texts, seed
        self._agents = [texts.of(SYSTEM_TOKENS, random.Random(f"{seed}/agent/{number}")) for number in range(AGENTS)]

    def longest_s(self, ttft_s: float, tpot_s: float) -> float:
        return TURNS_PER_CALL * (ttft_s + VOICE_TOKENS[1] * tpot_s + PAUSE_S[1])

    async def call(self, name: str, due_at: float, take: Take) -> None:
        chance = random.Random(f"{self._seed}/voice/{name}")
        messages = [_said("system", chance.choice(self._agents))]
        for position in range(TURNS_PER_CALL):
            messages.append(_said("user", self._texts.of(chance.randint(*USER_WORDS), chance)))
            tokens, barge_in, drop_after = chance.randint(*VOICE_TOKENS), chance.random(), chance.randint(*BARGE_IN_AFTER)
            turn = Turn(name, position, due_at, is_last=position == TURNS_PER_CALL - 1)
            turn.drop_after = drop_after if barge_in < BARGE_IN_SHARE else None
            await take(turn, _body(messages, tokens))
            if turn.answer.outcome not in ("finished", "dropped"):
                return
            messages.append(_said("assistant", "".join(turn.answer.text)))
            least, most = PAUSE_S
            due_at = time.monotonic() + min(least + chance.expovariate(1), most)

    def first_words(self) -> Iterator[dict[str, Any]]:
        for agent in self._agents:
            yield _body([_said("system", agent), _said("user", "hello")], 1)


def poisson(rate: float, seed: str) -> Iterator[float]:
    """Yield arrival times without end, in seconds from the start, at `rate` per second on average. The seed fixes them."""
    chance = random.Random(seed)
    at = 0.0
    while True:
        at += chance.expovariate(rate)
        yield at


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def _body(messages: list[dict[str, Any]], tokens: int) -> dict[str, Any]:
    """A request without the model: streams exactly `tokens` tokens, with usage at the end."""
    options = {"stream": True, "stream_options": {"include_usage": True}, "ignore_eos": True, "max_tokens": tokens}
    return {"messages": list(messages), **options}
