"""A tenant's own limits: turns at once, requests and tokens a minute. Of this process, in memory.

A limit of N a minute is a bucket that holds N and is refilled evenly, as OpenAI's and Anthropic's are: a tenant may use a
minute's worth at once and then N/60 a second. Only what is used is kept, so a limit may change at any time.
Ours rather than the library `limits`: that cannot give tokens back, keeps an entry for every token, and goes by the wall clock.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from service.domain import Caller, ChatJob, PreparedTurn, TenantPolicy, Usage
from service.errors import RateLimited, TurnError

_WINDOW_S = 60.0
_USUAL_COMPLETION_TOKENS = 256
_FIRST_GUESS_TURN_S = 2.0
_NEW_TURN_WEIGHT = 0.1
_ROUNDING = 1e-6


def estimate_tokens(job: ChatJob) -> int:
    """Prompt and completion tokens of a turn, before any tokenizer work."""
    return job.likely_prompt_tokens + (job.max_tokens or _USUAL_COMPLETION_TOKENS) * job.sampling.n


class Bucket:
    """How much of a limit per minute is used. May be overdrawn by a turn that took more than it was estimated at."""

    def __init__(self) -> None:
        self._used = 0.0
        self._at_s = 0.0

    def used(self, limit: int, now_s: float) -> float:
        self._used = max(0.0, self._used - (now_s - self._at_s) * limit / _WINDOW_S)
        self._at_s = now_s
        return self._used

    def take(self, amount: float, limit: int, now_s: float) -> None:
        """Or give back, where the amount is negative."""
        self._used = max(0.0, self.used(limit, now_s) + amount)

    def wait_s(self, amount: int, limit: int, now_s: float) -> float:
        """Until the amount fits; 0 where it does now."""
        excess = self.used(limit, now_s) + amount - limit
        return excess * _WINDOW_S / limit if excess > _ROUNDING else 0.0

    def headers(self, kind: str, limit: int, now_s: float) -> dict[str, str]:
        """As OpenAI sends them; `reset` is when all of the limit is there again."""
        used = self.used(limit, now_s)
        return {
            f"x-ratelimit-limit-{kind}": str(limit),
            f"x-ratelimit-remaining-{kind}": str(max(0, math.floor(limit - used + _ROUNDING))),
            f"x-ratelimit-reset-{kind}": as_duration(used * _WINDOW_S / limit),
        }


class _Tenant:
    """What one tenant uses."""

    def __init__(self) -> None:
        self.turns = 0
        self.turn_s = _FIRST_GUESS_TURN_S
        """How long its turns have lately taken."""
        self.requests = Bucket()
        self.tokens = Bucket()

    def take(self, policy: TenantPolicy, now_s: float, *, requests: int, tokens: int) -> None:
        if policy.requests_per_min:
            self.requests.take(requests, policy.requests_per_min, now_s)
        if policy.tokens_per_min:
            self.tokens.take(tokens, policy.tokens_per_min, now_s)

    def headers(self, policy: TenantPolicy, now_s: float) -> dict[str, str]:
        headers: dict[str, str] = {}
        if policy.requests_per_min:
            headers |= self.requests.headers("requests", policy.requests_per_min, now_s)
        elif policy.max_turns:  # Its only limit in requests, said in the same words.
            free_in_s = self.turn_s / self.turns if self.turns >= policy.max_turns else 0.0
            headers |= {
                "x-ratelimit-limit-requests": str(policy.max_turns),
                "x-ratelimit-remaining-requests": str(max(0, policy.max_turns - self.turns)),
                "x-ratelimit-reset-requests": as_duration(free_in_s),
            }
        if policy.tokens_per_min:
            headers |= self.tokens.headers("tokens", policy.tokens_per_min, now_s)
        return headers

    def refusal(self, policy: TenantPolicy, tokens: int, now_s: float) -> RateLimited | None:
        """The limit that takes longest to let this turn in; None where all do now."""
        most = policy.tokens_per_min
        if most and tokens > most:
            return RateLimited(
                f"This turn asks for about {tokens} tokens, messages and max_tokens together; your limit is {most} tokens per "
                "minute (tokens_per_min), so it can never be admitted. Shorten the messages or lower max_tokens.",
                reason="tokens",
                retry_after_s=None,
            )
        waits: list[tuple[float, Literal["turns", "requests", "tokens"], str]] = []
        if policy.max_turns and self.turns >= policy.max_turns:
            # One of as many turns ends about every so often.
            waits.append((self.turn_s / self.turns, "turns", f"{policy.max_turns} turns at once (max_turns)"))
        if limit := policy.requests_per_min:
            wait_s = self.requests.wait_s(1, limit, now_s)
            waits.append((wait_s, "requests", f"{limit} requests per minute (requests_per_min)"))
        if most:
            asked = f"{most} tokens per minute (tokens_per_min); this turn asks for about {tokens}"
            waits.append((self.tokens.wait_s(tokens, most, now_s), "tokens", asked))
        wait_s, reason, what = max(waits, default=(0.0, "requests", ""))
        if not wait_s:
            return None
        retry_after_s = max(1, math.ceil(wait_s - _ROUNDING))
        return RateLimited(
            f"Over your limit of {what}. Try again in {retry_after_s} s.", reason=reason, retry_after_s=retry_after_s
        )


class Charge:
    """What one turn has been charged, until it is known what it took."""

    def __init__(self, tokens: int, headers: Mapping[str, str]) -> None:
        self._tokens = tokens
        self.headers = headers
        """For the answer, as OpenAI sends them; empty for a tenant without limits."""
        self._stream: PreparedTurn | None = None
        self._usage: Usage | None = None
        self.has_begun = False
        """Something of the answer exists."""

    def prepared(self, turn: PreparedTurn) -> None:
        """A stream's tokens are told as they come, so from here on it is known what it took.

        A whole answer's can come all at the end: until then the estimate stands.
        """
        if turn.job.is_stream:
            self._stream = turn

    def settle(self, usage: Usage) -> None:
        """The engine has said all, and this is what it took."""
        self._usage = usage

    @property
    def excess(self) -> int:
        """Tokens it took beyond what was charged."""
        if self._usage is not None:
            return self._usage.prompt_tokens + self._usage.completion_tokens - self._tokens
        if self._stream is not None:
            return self._stream.prompt_tokens + self._stream.generated.tokens - self._tokens
        return 0


class RateLimits:
    """What every tenant uses of its limits. As many tenants as have keys, so bad keys cost nothing here."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tenants: defaultdict[str, _Tenant] = defaultdict(_Tenant)

    @contextmanager
    def hold(self, caller: Caller, *, estimated_tokens: int) -> Iterator[Charge]:
        """One turn in progress, charged by the estimate and settled as the scope closes. Raises `RateLimited`."""
        tenant, policy, began_s = self._tenants[caller.tenant], caller.policy, self._clock()
        if refusal := tenant.refusal(policy, estimated_tokens, began_s):
            refusal.headers |= tenant.headers(policy, began_s)
            raise refusal
        tenant.take(policy, began_s, requests=1, tokens=estimated_tokens)
        tenant.turns += 1
        charge = Charge(estimated_tokens, tenant.headers(policy, began_s))
        is_void = False
        try:
            yield charge
        except TurnError:
            is_void = not charge.has_begun  # Refused, or failed by us with nothing given: that costs the tenant nothing.
            raise
        finally:
            tenant.turns -= 1
            now_s = self._clock()
            if is_void:
                tenant.take(policy, now_s, requests=-1, tokens=-estimated_tokens)
            else:
                tenant.take(policy, now_s, requests=0, tokens=charge.excess)
                tenant.turn_s += _NEW_TURN_WEIGHT * (now_s - began_s - tenant.turn_s)


def as_duration(duration_s: float) -> str:
    """OpenAI's notation: `120ms`, `1.5s`, `6m0s`. Rounded up."""
    milliseconds = math.ceil(duration_s * 1000 - _ROUNDING)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 1000:g}s"
