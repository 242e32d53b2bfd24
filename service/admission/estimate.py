"""What a turn will cost the engine, before any template or tokenizer work: learned from the turns before it.

A prompt's tokens come from its bytes, by the line seen for its tenant and model: so much a byte, and so much in any case (tools,
the template's own words). Of its beginning that was computed before, whole blocks are in the cache, but for what was evicted:
that share is learned for each tenant, model and system prompt.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.admission.prefixes import Known, Prefixes, prefix_keys
from service.domain import ChatJob, Usage

_TOKENS_PER_BYTE = 0.25  # English prose in most vocabularies; the first turns of a tenant go by it.
_PRIOR_SPREAD = 200.0**2
"""How far apart, in bytes squared, prompts must be before their own rate counts as much as the one assumed."""
_MOST_OF_ANSWER = 1.5
"""What an answer may have of tokens, over what its bytes would have in a prompt."""
_COMPLETION_TOKENS = 64
_NEW_SHARE = 0.2
_USUAL_SHARE = 0.05
_MOST_BLOCK = 512
"""More tokens agree with what was found by chance: prompts alike."""
_REMEMBERED = 4096
"""Rates kept, the least recently used dropped: callers choose system prompts, and must not fill our memory."""

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a turn asks of the engine, in tokens."""

    prompt_tokens: int
    uncached_tokens: int
    """The part of the prompt that must be computed."""
    completion_tokens: int
    """Over all choices."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn as the estimates know it."""

    job: ChatJob
    keys: list[int]
    """Of its messages: see `prefix_keys`."""
    prompt_bytes: int
    known: Known
    """The part of its prompt that was computed before."""


class Estimator:
    """Estimates, and learns from what turned out."""

    def __init__(self) -> None:
        self._prefixes = Prefixes()
        self._sizes = _Rates[tuple[str, str, str]](0.0)
        self._hit_rate = _Rates[int](1.0)
        self._block = 0
        """Tokens of a block in the cache, which finds whole ones: the most that all it found agrees with. 0: not known."""
        self._usual: tuple[float, ...] = (0.0, 0.0, _COMPLETION_TOKENS)
        self._completion = _Rates[tuple[str, str]](_COMPLETION_TOKENS)

    def look_at(self, job: ChatJob) -> Asked:
        keys = prefix_keys(job)
        return Asked(job, keys, max(1, job.prompt_bytes), self._prefixes.known(job, keys))

    def estimate(self, asked: Asked) -> Cost:
        return self._cost(asked, self._tokens(asked))

    def exact(self, asked: Asked, prompt_tokens: int) -> Cost:
        """The same with the prompt's tokens counted, which also teaches the next estimate."""
        size = asked.prompt_bytes
        for what, seen in (("b", size), ("t", prompt_tokens), ("bb", size * size), ("bt", size * prompt_tokens)):
            self._sizes.learn(self._of(asked, what), seen)
        return self._cost(asked, prompt_tokens)

    @property
    def usual(self) -> Cost:
        """What turns have cost of late, whoever asked."""
        return Cost(round(self._usual[0]), round(self._usual[1]), max(1, round(self._usual[2])))

    def begun(self, asked: Asked, prompt_tokens: int) -> None:
        """Its prompt has been computed."""
        self._prefixes.computed(asked.keys, prompt_tokens)

    def finished(self, asked: Asked, usage: Usage) -> None:
        """What it has cost in the end."""
        job = asked.job
        self._block = math.gcd(self._block, usage.cached_tokens)
        if known := self._in_blocks(asked, usage.prompt_tokens):
            self._hit_rate.learn(asked.keys[0], min(1.0, usage.cached_tokens / known))
        said_tokens = (
            usage.completion_tokens - usage.reasoning_tokens - 1 if job.sampling.n == 1 else 0
        )  # The last is not computed.
        self._prefixes.answered(asked.keys, cached_tokens=usage.cached_tokens, answer_tokens=max(0, said_tokens))
        self._completion.learn((job.tenant, job.model), usage.completion_tokens / job.sampling.n)
        cost = (usage.prompt_tokens, usage.prompt_tokens - usage.cached_tokens, usage.completion_tokens)
        self._usual = tuple(known + _USUAL_SHARE * (new - known) for known, new in zip(self._usual, cost, strict=True))

    def _tokens(self, asked: Asked) -> int:
        """By the straight line through the prompts seen; no less than its known beginning has, and the rest by that rate."""
        rate, known = self._rate(asked), asked.known
        usual_bytes, usual_tokens = self._sizes.get(self._of(asked, "b")), self._sizes.get(self._of(asked, "t"))
        tokens = usual_tokens + rate * (asked.prompt_bytes - usual_bytes)
        if known.messages_tokens:
            rest_bytes = asked.prompt_bytes - known.messages_bytes - known.answer_bytes
            tokens = max(tokens, self._known_tokens(asked) + rate * rest_bytes)
        return max(1, round(tokens))

    def _rate(self, asked: Asked) -> float:
        """Tokens a byte, by the prompts seen; with few different sizes seen, as assumed."""
        size, tokens, size_size, size_tokens = (self._sizes.get(self._of(asked, what)) for what in ("b", "t", "bb", "bt"))
        varied, together = size_size - size * size, size_tokens - size * tokens
        return (together + _PRIOR_SPREAD * _TOKENS_PER_BYTE) / (varied + _PRIOR_SPREAD)

    @staticmethod
    def _of(asked: Asked, what: str) -> tuple[str, str, str]:
        return asked.job.tenant, asked.job.model, what

    def _known_tokens(self, asked: Asked) -> int:
        """Of the beginning that was computed, where its messages' are known."""
        known = asked.known
        answer = self._rate(asked) * known.answer_bytes
        # More were said than the caller has heard, where he barged in; fewer than are told here, where it ended so.
        return known.messages_tokens + round(min(known.answer_tokens or answer, _MOST_OF_ANSWER * answer))

    def _in_blocks(self, asked: Asked, prompt_tokens: int) -> int:
        """Of so many prompt tokens those that the cache has, if it has all blocks that were computed."""
        known = asked.known
        tokens = self._known_tokens(asked)
        if not known.messages_tokens:
            tokens = int(prompt_tokens * (known.messages_bytes + known.answer_bytes) / asked.prompt_bytes)
        tokens = min(prompt_tokens - 1, tokens)  # It computes the last one in any case.
        return tokens - tokens % (self._block if 0 < self._block <= _MOST_BLOCK else 1)

    def _cost(self, asked: Asked, prompt_tokens: int) -> Cost:
        job = asked.job
        cached_tokens = self._in_blocks(asked, prompt_tokens) * self._hit_rate.get(asked.keys[0])
        uncached_tokens = max(1, round(prompt_tokens - cached_tokens))
        completion = self._completion.get((job.tenant, job.model))
        if job.max_tokens is not None:
            completion = min(completion, job.max_tokens)
        return Cost(prompt_tokens, uncached_tokens, max(1, round(completion * job.sampling.n)))


class _Rates(Generic[K]):
    """Moving averages by key, a bounded number of them."""

    def __init__(self, prior: float) -> None:
        self._prior = prior
        self._rates: OrderedDict[K, float] = OrderedDict()

    def get(self, key: K) -> float:
        return self._rates.get(key, self._prior)

    def learn(self, key: K, value: float) -> None:
        known = self._rates.get(key)
        self._rates[key] = value if known is None else known + _NEW_SHARE * (value - known)
        self._rates.move_to_end(key)
        if len(self._rates) > _REMEMBERED:
            self._rates.popitem(last=False)
