"""What a turn will cost the engine, before any template or tokenizer work: learned from the turns before it.

A prompt's tokens come from its bytes, by the line seen for its tenant and model: so much a byte, and so much in any case (tools,
the template's own words). Where it continues a turn, that turn's tokens are known, and only the rest goes by its bytes. Of its
beginning that was computed before, whole blocks are in the cache, but for what was evicted: that share is learned for each
tenant, model and system prompt.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.admission.prefixes import Known, Prefixes, prefix_keys
from service.domain import TOKENS_PER_BYTE, ChatJob, Usage

_PRIOR_SPREAD = 200.0**2
"""How far apart, in bytes squared, prompts must be before their own rate counts as much as the one assumed."""
_LEAST_RATE, _MOST_RATE = 0.1, 1.0
"""Tokens a byte of any text; the line through whole prompts may be steeper or fall, since their tools are not in their bytes."""
_ANSWER_OFF = 1.5
"""By this factor at most may an answer's tokens be off what its bytes tell, and be the answer that was said."""
_COMPLETION_TOKENS = 64
_NEW_SHARE = 0.2
_USUAL_SHARE = 0.03
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
        self._finished = 0
        self._completion = _Rates[tuple[str, str]](_COMPLETION_TOKENS)

    def look_at(self, job: ChatJob) -> Asked:
        keys = prefix_keys(job)
        return Asked(job, keys, max(1, job.prompt_bytes), self._prefixes.known(job, keys))

    def estimate(self, asked: Asked) -> Cost:
        known_tokens, least_tokens = self._known_tokens(asked)
        return self._cost(asked, self._tokens(asked, least_tokens), known_tokens)

    def exact(self, asked: Asked, prompt_tokens: int) -> Cost:
        """The same with the prompt's tokens counted, which also teaches the next estimate."""
        size = asked.prompt_bytes
        for what, seen in (("b", size), ("t", prompt_tokens), ("bb", size * size), ("bt", size * prompt_tokens)):
            self._sizes.learn(_of(asked.job, what), seen)
        known_tokens, least_tokens = self._known_tokens(asked)
        if asked.known.is_counted:
            self._sizes.learn(_of(asked.job, "rest"), prompt_tokens - least_tokens)
        return self._cost(asked, prompt_tokens, known_tokens)

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
        if known := self._in_blocks(asked, usage.prompt_tokens, self._known_tokens(asked)[0]):
            self._hit_rate.learn(asked.keys[0], min(1.0, usage.cached_tokens / known))
        answer_tokens = _computed_answer(asked, usage)
        self._prefixes.answered(asked.keys, asked.known, cached_tokens=usage.cached_tokens, answer_tokens=answer_tokens)
        self._completion.learn((job.tenant, job.model), usage.completion_tokens / job.sampling.n)
        cost = (usage.prompt_tokens, usage.prompt_tokens - usage.cached_tokens, usage.completion_tokens)
        self._finished += 1
        share = max(_USUAL_SHARE, 1 / self._finished)
        self._usual = tuple(known + share * (new - known) for known, new in zip(self._usual, cost, strict=True))

    def _known_tokens(self, asked: Asked) -> tuple[int, float]:
        """Tokens of the part that was computed before, 0 where that is not known; and those with the text of the rest: what the
        template puts around it is not in its bytes.
        """
        known = asked.known
        if not known.messages_tokens:
            return 0, 0.0
        rate = min(_MOST_RATE, max(_LEAST_RATE, self._rate(asked.job)))
        tokens = known.messages_tokens + round(_answer_tokens(asked.job, known, told=rate * known.answer_bytes))
        return tokens, tokens + rate * (asked.prompt_bytes - known.messages_bytes - known.answer_bytes)

    def _tokens(self, asked: Asked, least_tokens: float) -> int:
        """What is known of it, and the rest by its bytes; else by the straight line through the prompts seen."""
        if asked.known.is_counted:
            return max(1, round(least_tokens + self._sizes.get(_of(asked.job, "rest"))))
        usual_bytes, usual_tokens = self._sizes.get(_of(asked.job, "b")), self._sizes.get(_of(asked.job, "t"))
        tokens = usual_tokens + self._rate(asked.job) * (asked.prompt_bytes - usual_bytes)
        return max(1, round(max(tokens, least_tokens)))

    def _rate(self, job: ChatJob) -> float:
        """Tokens a byte, by the prompts seen; with few different sizes seen, as assumed."""
        size, tokens, size_size, size_tokens = (self._sizes.get(_of(job, what)) for what in ("b", "t", "bb", "bt"))
        varied, together = size_size - size * size, size_tokens - size * tokens
        return (together + _PRIOR_SPREAD * TOKENS_PER_BYTE) / (varied + _PRIOR_SPREAD)

    def _in_blocks(self, asked: Asked, prompt_tokens: int, known_tokens: int) -> int:
        """Of so many prompt tokens those that the cache has, if it has all blocks that were computed."""
        known_bytes = asked.known.messages_bytes + asked.known.answer_bytes
        tokens = known_tokens or int(prompt_tokens * known_bytes / asked.prompt_bytes)
        tokens = min(prompt_tokens - 1, tokens)  # It computes the last one in any case.
        return tokens - tokens % (self._block if 0 < self._block <= _MOST_BLOCK else 1)

    def _cost(self, asked: Asked, prompt_tokens: int, known_tokens: int) -> Cost:
        job = asked.job
        cached_tokens = self._in_blocks(asked, prompt_tokens, known_tokens) * self._hit_rate.get(asked.keys[0])
        uncached_tokens = max(1, round(prompt_tokens - cached_tokens))
        completion = self._completion.get((job.tenant, job.model))
        if job.max_tokens is not None:
            completion = min(completion, job.max_tokens)
        return Cost(prompt_tokens, uncached_tokens, max(1, round(completion * job.sampling.n)))


def _of(job: ChatJob, what: str) -> tuple[str, str, str]:
    return job.tenant, job.model, what


def _answer_tokens(job: ChatJob, known: Known, *, told: float) -> float:
    """Of the answer in its history, where one follows what was computed; `told`: by its bytes."""
    if known.answer_tokens is None:
        return told
    is_as_told = told / _ANSWER_OFF <= known.answer_tokens <= told * _ANSWER_OFF
    if is_as_told or not known.answer_tokens or job.messages[known.messages].tool_calls:  # Whose bytes are not all of a call.
        return known.answer_tokens
    return told  # Another than was said, where its caller barged in, or another caller's.


def _computed_answer(asked: Asked, usage: Usage) -> int | None:
    """Of an answer, the tokens that were computed right behind its prompt; None: not known, for there were several."""
    if usage.reasoning_tokens:
        return 0  # It came behind the thought, which no later prompt repeats.
    return max(0, usage.completion_tokens - 1) if asked.job.sampling.n == 1 else None  # The last is said, and not computed.


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
