"""A tenant's own limits: turns at once, requests per minute, tokens per minute. They count in the memory of this process.

A limit of N per minute is a bucket that holds N and refills evenly, as OpenAI's and Anthropic's do: a tenant may use N at once
and then N/60 per second. Only the used amount is stored, so a limit may change at any time.

The library `limits` is not used: it cannot give tokens back, keeps an entry for each token, and uses the wall clock.
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
    """Estimate the prompt and completion tokens of a turn, before any tokenizer work."""
    return job.likely_prompt_tokens + (job.max_tokens or _USUAL_COMPLETION_TOKENS) * job.sampling.n


class Bucket:
    """The used amount of a limit per minute. It may exceed the limit if a turn took more than its estimate."""

    def __init__(self) -> None:
        self._used = 0.0
        self._at_s = 0.0

    def used(self, limit: int, now_s: float) -> float:
        """Return the used amount at `now_s`, after the refill since the last call."""
        self._used = max(0.0, self._used - (now_s - self._at_s) * limit / _WINDOW_S)
        self._at_s = now_s
        return self._used

    def take(self, amount: float, limit: int, now_s: float) -> None:
        """Take an amount. A negative amount is given back."""
        self._used = max(0.0, self.used(limit, now_s) + amount)

    def wait_s(self, amount: int, limit: int, now_s: float) -> float:
        """Return the seconds until the amount fits; 0 if it fits now."""
        excess = self.used(limit, now_s) + amount - limit
        return excess * _WINDOW_S / limit if excess > _ROUNDING else 0.0

    def headers(self, kind: str, limit: int, now_s: float) -> dict[str, str]:
        """Return the headers that OpenAI sends for a limit. `reset` is the time until the whole limit is available again."""
        used = self.used(limit, now_s)
        return {
            f"x-ratelimit-limit-{kind}": str(limit),
            f"x-ratelimit-remaining-{kind}": str(max(0, math.floor(limit - used + _ROUNDING))),
            f"x-ratelimit-reset-{kind}": as_duration(used * _WINDOW_S / limit),
        }


class _Tenant:
    """The usage of one tenant."""

    def __init__(self) -> None:
        self.turns = 0
        self.turn_s = _FIRST_GUESS_TURN_S
        """Moving average of the seconds that its turns take."""
        self.requests = Bucket()
        self.tokens = Bucket()

    def take(self, policy: TenantPolicy, now_s: float, *, requests: int, tokens: int) -> None:
        """Count requests and tokens against the tenant's limits. Negative numbers are given back."""
        if policy.requests_per_min:
            self.requests.take(requests, policy.requests_per_min, now_s)
        if policy.tokens_per_min:
            self.tokens.take(tokens, policy.tokens_per_min, now_s)

    def headers(self, policy: TenantPolicy, now_s: float) -> dict[str, str]:
        """Return the `x-ratelimit-*` headers for the tenant's limits."""
        headers: dict[str, str] = {}
        if policy.requests_per_min:
            headers |= self.requests.headers("requests", policy.requests_per_min, now_s)
        elif policy.max_turns:  # Without a limit on requests, the headers for requests show this limit.
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
        """Return the error of the limit that the turn must wait for longest, or None if it is within all limits."""
        most = policy.tokens_per_min
        if most and tokens > most:
            return RateLimited(
                f"This turn needs about {tokens} tokens, messages and max_tokens together; your limit is {most} tokens per "
                "minute (tokens_per_min), so it can never be admitted. Shorten the messages or lower max_tokens.",
                reason="tokens",
                retry_after_s=None,
            )
        waits: list[tuple[float, Literal["turns", "requests", "tokens"], str]] = []
        if policy.max_turns and self.turns >= policy.max_turns:
            # With n turns of this average length, one ends about every 1/n of it.
            waits.append((self.turn_s / self.turns, "turns", f"{policy.max_turns} turns at once (max_turns)"))
        if limit := policy.requests_per_min:
            wait_s = self.requests.wait_s(1, limit, now_s)
            waits.append((wait_s, "requests", f"{limit} requests per minute (requests_per_min)"))
        if most:
            asked = f"{most} tokens per minute (tokens_per_min); this turn needs about {tokens}"
            waits.append((self.tokens.wait_s(tokens, most, now_s), "tokens", asked))
        wait_s, reason, what = max(waits, default=(0.0, "requests", ""))
        if not wait_s:
            return None
        retry_after_s = max(1, math.ceil(wait_s - _ROUNDING))
        return RateLimited(
            f"You are over your limit of {what}. Try again in {retry_after_s} s.", reason=reason, retry_after_s=retry_after_s
        )


class Charge:
    """The tokens that one turn is charged: an estimate first, then the tokens that it took."""

    def __init__(self, tokens: int, headers: Mapping[str, str]) -> None:
        self._tokens = tokens
        self.headers = headers
        """The `x-ratelimit-*` headers of the answer. Empty for a tenant without limits."""
        self._stream: PreparedTurn | None = None
        self._usage: Usage | None = None
        self.has_begun = False
        """True once a part of the answer exists."""

    def prepared(self, turn: PreparedTurn) -> None:
        """Charge a stream by its prompt tokens and the tokens generated so far, instead of the estimate.

        An answer that is not streamed may get all its tokens at the end, so its estimate counts until then.
        """
        if turn.job.is_stream:
            self._stream = turn

    def settle(self, usage: Usage) -> None:
        """Charge the turn by its usage, once the engine has finished it."""
        self._usage = usage

    @property
    def excess(self) -> int:
        """Tokens that the turn took beyond the estimate. Negative if it took fewer."""
        if self._usage is not None:
            return self._usage.prompt_tokens + self._usage.completion_tokens - self._tokens
        if self._stream is not None:
            return self._stream.prompt_tokens + self._stream.generated.tokens - self._tokens
        return 0


class RateLimits:
    """The usage of all tenants. Only tenants with a valid key are stored, so wrong keys take no memory."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tenants: defaultdict[str, _Tenant] = defaultdict(_Tenant)

    @contextmanager
    def hold(self, caller: Caller, *, estimated_tokens: int) -> Iterator[Charge]:
        """Scope of one turn: charge its estimate, and settle the charge when the scope ends. Raises `RateLimited`."""
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
            is_void = not charge.has_begun  # Refused, or failed before any answer: it costs the tenant nothing.
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
    """Format seconds in OpenAI's notation: `120ms`, `1.5s`, `6m0s`. Rounded up to milliseconds."""
    milliseconds = math.ceil(duration_s * 1000 - _ROUNDING)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    return (f"{minutes}m" if minutes else "") + f"{rest / 1000:g}s"
