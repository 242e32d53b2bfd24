"""A tenant's own limits: which turns they allow, what they give back, and the errors and headers of the answer."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest

from service.domain import Caller, Sampling, TenantPolicy, Usage
from service.errors import InvalidRequest, Overloaded, RateLimited
from service.tenants.rate_limits import RateLimits, as_duration, estimate_tokens
from tests.support.factories import make_job, make_turn


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Tenant:
    """The turns of one tenant, at times that a test sets."""

    def __init__(self, **policy: Any) -> None:
        self.clock = Clock()
        self.limits = RateLimits(self.clock)
        self.caller = Caller("acme", policy=TenantPolicy(**policy))

    def set(self, **policy: Any) -> None:
        self.caller = Caller("acme", policy=TenantPolicy(**policy))

    def turn(self, tokens: int = 10, *, taken: int | None = None) -> dict[str, str]:
        """Run a turn that ends at once, and return its headers. It is charged by the estimate, or by `taken` tokens."""
        with self.limits.hold(self.caller, estimated_tokens=tokens) as charge:
            if taken is not None:
                charge.settle(Usage(prompt_tokens=taken, completion_tokens=0, cached_tokens=0))
        return dict(charge.headers)

    def refused(self, tokens: int = 10) -> RateLimited:
        with pytest.raises(RateLimited) as caught:
            self.turn(tokens)
        return caught.value

    def remaining(self) -> int:
        """Return the remaining tokens, from the headers of a turn that takes none."""
        return int(self.turn(0)["x-ratelimit-remaining-tokens"])


def test_a_tenant_without_limits_is_never_refused_and_told_nothing() -> None:
    tenant = Tenant()
    assert all(tenant.turn(10**9) == {} for _ in range(1000))


def test_requests_per_minute_come_back_evenly() -> None:
    tenant = Tenant(requests_per_min=3)
    assert [tenant.turn()["x-ratelimit-remaining-requests"] for _ in range(3)] == ["2", "1", "0"]
    refusal = tenant.refused()
    assert (refusal.status, refusal.type, refusal.code) == (429, "requests", "rate_limit_exceeded")
    assert "3 requests per minute (requests_per_min)" in refusal.message and "20 s" in refusal.message
    assert refusal.headers == {
        "Retry-After": "20",
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    tenant.clock.now_s += 20
    tenant.turn()
    tenant.refused()


def test_tokens_per_minute_are_charged_by_the_estimate() -> None:
    tenant = Tenant(tokens_per_min=100)
    assert tenant.turn(80) == {
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "20",
        "x-ratelimit-reset-tokens": "48s",
    }
    refusal = tenant.refused(50)
    assert refusal.type == "tokens"
    assert "100 tokens per minute (tokens_per_min)" in refusal.message
    assert "about 50" in refusal.message and "18 s" in refusal.message
    tenant.turn(20)


@pytest.mark.parametrize(
    "policy", [{"requests_per_min": 7}, {"tokens_per_min": 70}, {"requests_per_min": 7, "tokens_per_min": 30}]
)
def test_retry_after_is_when_it_will_fit(policy: dict[str, int]) -> None:
    tenant = Tenant(**policy)
    for _ in range(50):
        try:
            tenant.turn(10)
        except RateLimited as refusal:
            wait_s = int(refusal.headers["Retry-After"])
            tenant.clock.now_s += wait_s - 1
            tenant.refused(10)
            tenant.clock.now_s += 1
            tenant.turn(10)


def test_a_refused_turn_takes_nothing() -> None:
    tenant = Tenant(requests_per_min=2, tokens_per_min=100)
    tenant.turn(90)
    for _ in range(10):
        tenant.refused(50)
    tenant.turn(10)


@pytest.mark.parametrize(("taken", "remaining"), [(30, 70), (60, 40), (90, 10)])
def test_usage_settles_what_was_charged(taken: int, remaining: int) -> None:
    tenant = Tenant(tokens_per_min=100)
    tenant.turn(60, taken=taken)
    assert tenant.remaining() == remaining


def test_a_turn_that_took_more_than_the_limit_is_paid_off_before_the_next() -> None:
    tenant = Tenant(tokens_per_min=60)
    tenant.turn(10, taken=180)
    refusal = tenant.refused(10)
    assert refusal.headers["Retry-After"] == "130"
    assert refusal.headers["x-ratelimit-remaining-tokens"] == "0"
    assert refusal.headers["x-ratelimit-reset-tokens"] == "3m0s"


def test_a_turn_bigger_than_the_limit_is_told_that_it_never_fits() -> None:
    tenant = Tenant(tokens_per_min=100)
    refusal = tenant.refused(101)
    assert "about 101 tokens" in refusal.message
    assert "100 tokens per minute (tokens_per_min)" in refusal.message and "never" in refusal.message
    assert "Retry-After" not in refusal.headers
    assert refusal.headers["x-should-retry"] == "false"
    tenant.turn(100)


def test_turns_at_once_are_limited_and_their_place_is_free_when_they_end() -> None:
    tenant = Tenant(max_turns=2)
    with ExitStack() as turns:
        for _ in range(2):
            turns.enter_context(tenant.limits.hold(tenant.caller, estimated_tokens=1))
        refusal = tenant.refused()
        assert "2 turns at once (max_turns)" in refusal.message
        assert refusal.headers == {
            "Retry-After": "1",
            "x-ratelimit-limit-requests": "2",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1s",
        }
    tenant.turn()


def test_when_turns_at_once_are_the_limit_retry_after_goes_by_how_long_they_take() -> None:
    tenant = Tenant(max_turns=2)
    for _ in range(100):
        with tenant.limits.hold(tenant.caller, estimated_tokens=1):
            tenant.clock.now_s += 20
    with ExitStack() as turns:
        for _ in range(2):
            turns.enter_context(tenant.limits.hold(tenant.caller, estimated_tokens=1))
        assert tenant.refused().headers["Retry-After"] == "10"


@pytest.mark.parametrize("error", [Overloaded("full"), InvalidRequest("x")], ids=lambda error: type(error).__name__)
def test_a_turn_that_is_refused_afterwards_costs_nothing(error: Exception) -> None:
    tenant = Tenant(requests_per_min=1, tokens_per_min=100, max_turns=1)
    with pytest.raises(type(error)), tenant.limits.hold(tenant.caller, estimated_tokens=100) as charge:
        charge.prepared(make_turn(make_job()))
        raise error
    tenant.turn(100)


@pytest.mark.parametrize(("is_stream", "tokens", "remaining"), [(True, 0, 99), (True, 7, 92), (False, 0, 40), (False, 7, 40)])
@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()], ids=lambda error: type(error).__name__)
def test_a_turn_that_is_hung_up_on_costs_what_it_took(is_stream: bool, tokens: int, remaining: int, error: BaseException) -> None:
    tenant = Tenant(tokens_per_min=100)
    with pytest.raises(type(error)), tenant.limits.hold(tenant.caller, estimated_tokens=60) as charge:
        turn = make_turn(make_job(is_stream=is_stream))  # One prompt token.
        charge.prepared(turn)
        turn.generated.tokens = tokens
        charge.has_begun = tokens > 0
        raise error
    assert tenant.remaining() == remaining


def test_tenants_do_not_share_a_limit() -> None:
    limits = RateLimits()
    acme, other = (Caller(name, policy=TenantPolicy(max_turns=1, requests_per_min=1)) for name in ("acme", "other"))
    with limits.hold(acme, estimated_tokens=1), limits.hold(other, estimated_tokens=1):
        pass


def test_a_changed_limit_counts_from_the_next_turn_with_what_has_been_used() -> None:
    tenant = Tenant(requests_per_min=2)
    tenant.turn()
    tenant.turn()
    tenant.set(requests_per_min=4)
    tenant.turn()
    tenant.set()
    tenant.turn()
    tenant.set(requests_per_min=1)
    tenant.refused()


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [(0, "0s"), (0.0001, "1ms"), (0.12, "120ms"), (0.9995, "1s"), (1, "1s"), (6.5, "6.5s"), (59.857, "59.857s"), (60, "1m0s"),
     (90.951, "1m30.951s"), (360, "6m0s")],
)  # fmt: skip
def test_durations_are_written_as_openai_does(duration_s: float, text: str) -> None:
    assert as_duration(duration_s) == text


@pytest.mark.parametrize(
    ("text", "max_tokens", "n", "tokens"), [("x" * 400, 50, 1, 150), ("x", 50, 1, 51), ("x" * 40, None, 1, 266), ("x", 10, 3, 31)]
)
def test_the_estimate_is_prompt_and_completion(text: str, max_tokens: int | None, n: int, tokens: int) -> None:
    assert estimate_tokens(make_job(text, max_tokens=max_tokens, sampling=Sampling(n=n))) == tokens
