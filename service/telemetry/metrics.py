"""The metric catalogue: every `firstword_*` metric, and the record of one turn that fills them.

Recorded per turn, never per token. Labels are bounded: tenants come from the configured keys, models from what is
served, outcomes from `Outcome`.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import REGISTRY

from service import __version__
from service.domain import Arrival, Caller, ChatJob, Outcome, Usage
from service.errors import ClientGone, NotReady, Overloaded, RateLimited, TurnError

# A 300 ms budget needs steps of 50 ms around it; past a second a voice call is in trouble and coarse is enough.
TTFT_BUCKETS_S = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.75, 1, 1.5, 2.5, 5, 10, 30)
DURATION_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 30, 60, 120)
ABORT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
FORECAST_ERROR_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)

_log = structlog.get_logger("firstword.turn")


class Telemetry:
    """The metrics of one service. A registry of its own, so that two services can live in one test process; vLLM's
    `vllm:*` are in prometheus_client's global one, and `render` shows both.
    """

    def __init__(self, *, ttft_budget_s: float, model: str) -> None:
        self.registry = CollectorRegistry()
        self.ttft_budget_s = ttft_budget_s
        self.model = model
        labels = ("tenant", "model")
        self.turns = Counter("firstword_turns", "Turns by how they ended.", (*labels, "outcome"), registry=self.registry)
        self.ttft = Histogram(
            "firstword_ttft_seconds",
            "From the request's arrival to the first non-empty content.",
            labels,
            buckets=TTFT_BUCKETS_S,
            registry=self.registry,
        )
        self.duration = Histogram(
            "firstword_turn_duration_seconds",
            "From the request's arrival to the end of a turn that was answered.",
            labels,
            buckets=DURATION_BUCKETS_S,
            registry=self.registry,
        )
        self.refusals = Counter(
            "firstword_refusals", "Turns refused for want of room, by reason.", ("reason",), registry=self.registry
        )
        for reason in ("full", "forecast", "calls", "expired"):
            self.refusals.labels(reason)
        self.forecast_error = Histogram(
            "firstword_ttft_forecast_error_seconds",
            "How far the forecast time to the first token was off, by whether the token was early or late.",
            ("token",),
            buckets=FORECAST_ERROR_BUCKETS_S,
            registry=self.registry,
        )
        for token in ("early", "late"):
            self.forecast_error.labels(token)
        self.prompt_tokens = Counter(
            "firstword_prompt_tokens", "Prompt tokens of finished turns.", labels, registry=self.registry
        )
        self.cached_tokens = Counter(
            "firstword_cached_tokens",
            "Prompt tokens of finished turns found in the prefix cache.",
            labels,
            registry=self.registry,
        )
        self.completion_tokens = Counter(
            "firstword_completion_tokens", "Completion tokens of finished turns.", labels, registry=self.registry
        )
        self.wasted_tokens = Counter(
            "firstword_wasted_tokens",
            "Completion tokens generated for turns whose caller hung up.",
            labels,
            registry=self.registry,
        )
        self._token_counters = (self.prompt_tokens, self.cached_tokens, self.completion_tokens, self.wasted_tokens)
        self.abort = Histogram(
            "firstword_abort_seconds",
            "From a caller's hang-up to the turn's abort in the engine.",
            buckets=ABORT_BUCKETS_S,
            registry=self.registry,
        )
        self.system_prompt_warmups = Counter(
            "firstword_system_prompt_warmups",
            "Configured system prompts run ahead of calls, by whether the prefix cache had them.",
            ("result",),
            registry=self.registry,
        )
        for result in ("computed", "found"):
            self.system_prompt_warmups.labels(result)
        self.system_prompt_evictions = Counter(
            "firstword_system_prompt_evictions",
            "Times that a configured system prompt was no longer whole in the prefix cache.",
            registry=self.registry,
        )
        self.adapter_loads = Counter(
            "firstword_adapter_loads", "LoRA adapters by what became of loading them.", ("result",), registry=self.registry
        )
        for result in ("loaded", "refused", "file_unreadable"):
            self.adapter_loads.labels(result)
        self._key_file_reloads = Counter(
            "firstword_key_file_reloads", "Changes of the key file by what became of them.", ("result",), registry=self.registry
        )
        for result in ("loaded", "refused"):
            self._key_file_reloads.labels(result)
        self._key_file_ok = Gauge(
            "firstword_key_file_ok",
            "0 while the key file cannot be used and the last good keys are.",
            registry=self.registry,
        )
        self._key_file_ok.set(1)
        info = Gauge(
            "firstword_build_info", "Always 1; what runs is in the labels.", ("version", "model"), registry=self.registry
        )
        info.labels(__version__, model).set(1)

    def expose(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A gauge read when scraped."""
        Gauge(name, help_text, registry=self.registry).set_function(read)

    def key_file_reloaded(self, *, is_ok: bool) -> None:
        """The key file has changed, and its keys were taken or refused."""
        self._key_file_reloads.labels("loaded" if is_ok else "refused").inc()
        self._key_file_ok.set(is_ok)

    def add_tenant(self, tenant: str) -> None:
        """Make every series of a tenant exist at 0: a rate over a series that appears at 1 misses its first turn."""
        for outcome in Outcome:
            self.turns.labels(tenant, self.model, outcome)
        for metric in (self.ttft, self.duration, *self._token_counters):
            metric.labels(tenant, self.model)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Both registries in the format that fits the scraper's Accept header: the body and its content type."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # prometheus_client trips over a version that is none.
            encode, content_type = choose_encoder("")
        ours, engine = encode(self.registry), encode(REGISTRY)
        # OpenMetrics ends a document with # EOF; two documents in one must have one end.
        return ours.removesuffix(b"# EOF\n") + engine, content_type

    @contextmanager
    def turn(self, turn_id: str, caller: Caller, arrival: Arrival) -> Iterator["TurnRecord"]:
        """Record one turn, however it ends. Errors pass through."""
        record = TurnRecord(self, turn_id, caller.tenant, arrival, self.ttft_budget_s)
        try:
            yield record
        except BaseException as error:
            record.close(error)
            raise
        record.close(None)


class TurnRecord:
    """What is measured of one turn. Times are monotonic seconds."""

    def __init__(self, telemetry: Telemetry, turn_id: str, tenant: str, arrival: Arrival, budget_s: float) -> None:
        self.budget_s = budget_s
        """Time to first token that this turn may take."""
        self._telemetry = telemetry
        self._turn_id = turn_id
        self._tenant = tenant
        self._arrival = arrival
        self._steps = 0
        self._ttft_s: float | None = None
        self._usage: Usage | None = None
        self._rules: tuple[str, ...] = ()

    def normalized(self, job: ChatJob) -> None:
        """What the turn means is known: which of its rules changed something goes into the log, never what."""
        self._rules = job.rules

    def begun(self, forecast_error_s: float) -> None:
        """The first token exists: so much later was it forecast, or earlier where this is below 0."""
        self._telemetry.forecast_error.labels("late" if forecast_error_s < 0 else "early").observe(abs(forecast_error_s))

    def first_word(self) -> None:
        """The first non-empty content exists."""
        self._ttft_s = time.monotonic() - self._arrival.at_s

    def stepped(self) -> None:
        """The engine has given a step, about one token. Called for each: it only counts."""
        self._steps += 1

    def finished(self, usage: Usage) -> None:
        """The engine has said all."""
        self._usage = usage

    def close(self, error: BaseException | None) -> None:
        now_s = time.monotonic()
        duration_s = now_s - self._arrival.at_s
        outcome = self._outcome(error, duration_s)
        labels = (self._tenant, self._telemetry.model)
        self._telemetry.turns.labels(*labels, outcome).inc()
        if self._ttft_s is not None:
            self._telemetry.ttft.labels(*labels).observe(self._ttft_s)
        if error is None:
            self._telemetry.duration.labels(*labels).observe(duration_s)
        if self._usage is not None:
            self._telemetry.prompt_tokens.labels(*labels).inc(self._usage.prompt_tokens)
            self._telemetry.cached_tokens.labels(*labels).inc(self._usage.cached_tokens)
            self._telemetry.completion_tokens.labels(*labels).inc(self._usage.completion_tokens)
        abort_s = None
        if error is not None and self._arrival.gone_s is not None:
            abort_s = now_s - self._arrival.gone_s
            self._telemetry.abort.observe(abort_s)
            self._telemetry.wasted_tokens.labels(*labels).inc(self._steps)
        _log.info(
            "turn",
            turn_id=self._turn_id,
            tenant=self._tenant,
            model=self._telemetry.model,
            outcome=str(outcome),
            ttft_s=None if self._ttft_s is None else round(self._ttft_s, 4),
            duration_s=round(duration_s, 4),
            abort_s=abort_s and round(abort_s, 4),
            prompt_tokens=self._usage and self._usage.prompt_tokens,
            completion_tokens=self._usage and self._usage.completion_tokens,
            rules=list(self._rules),
            error=error.code if isinstance(error, TurnError) else error and type(error).__name__,
            refusal=error.reason if isinstance(error, Overloaded) else None,
        )

    def _outcome(self, error: BaseException | None, duration_s: float) -> Outcome:
        # A caller who gave up after the budget gave up because of us.
        is_late = (duration_s if self._ttft_s is None else self._ttft_s) > self.budget_s
        if error is None:
            return Outcome.LATE if is_late else Outcome.ON_TIME
        if isinstance(error, asyncio.CancelledError | GeneratorExit | ClientGone):
            return Outcome.LATE if is_late else Outcome.CANCELLED
        if isinstance(error, Overloaded | NotReady):
            return Outcome.REFUSED_CAPACITY
        if isinstance(error, RateLimited):
            return Outcome.REFUSED_LIMIT
        if isinstance(error, TurnError) and error.status < 500:
            return Outcome.CLIENT_ERROR
        return Outcome.FAILED
