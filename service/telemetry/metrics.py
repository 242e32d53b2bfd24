"""The list of metrics: every `firstword_*` metric, in base units. A test keeps docs/metrics.md equal to it.

Metrics are recorded per turn or per engine step, never per token. The values of all labels are bounded: `tenant` by a setting
(`Telemetry` counts the rest as `other`), `model` by what the process serves, and every other label by a tuple below. `pool` and
`release` are not labels of ours. The scraper adds them, because a process does not know its pool or its release.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.metrics import MetricWrapperBase

from service.domain import Outcome
from service.telemetry.fast_metrics import MergingHistogram, with_quick_labels

PREFIX = "firstword_"
M = TypeVar("M", bound=MetricWrapperBase)
Rows = list[tuple[str, ...]]

# A budget of 300 ms needs buckets of 50 ms around it. Above one second a voice call is too slow, and coarse buckets are enough.
TTFT_BUCKETS_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 1, 1.5, 2.5, 5, 10, 30)
SENTENCE_BUCKETS_S = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.25, 1.5, 2, 2.5, 5, 10, 30)
DURATION_BUCKETS_S = (0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 30, 60, 120)
TPOT_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1)
GAP_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1, 2.5)
STEP_BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.5, 1, 2.5)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2.5, 5)
ABORT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
FORECAST_ERROR_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)

REASONS = ("full", "forecast", "calls", "expired", "engine", "not_ready", "turns", "requests", "tokens")
"""Reasons for refusing a turn: the first six are a lack of capacity, the others are the tenant's own limits."""
STAGES = ("auth", "read", "normalize", "render", "wait", "prefill")
"""Stages of a turn until its first token, in order."""
STATES = ("starting", "ready", "draining", "failed")
HEARD = ("nothing", "speech")
"""What a caller had heard before hanging up."""
REJECTED = ("400", "401", "404", "405", "408", "413", "415")
"""HTTP statuses of requests that did not become turns."""

# `_created` series would double the number of series, and no dashboard here reads them. This turns vLLM's off too.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """One service's metrics, in a separate registry, so that two services can run in one test process."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self.model = model
        self._of_tenants: list[tuple[MetricWrapperBase, Rows]] = []
        self._count_turns()
        self._time_turns()
        self._count_tokens()
        self._time_stages()
        self._count_around_turns()
        self._gauges()

    def add_tenant(self, label: str) -> None:
        """Create every series of a tenant at 0. A rate over a series that appears at 1 would miss the first turn."""
        for metric, rows in self._of_tenants:
            for row in rows:
                metric.labels(label, self.model, *row)

    def _count_turns(self) -> None:
        self.turns = self._tenants(Counter, "turns", "Turns, by outcome.", outcome=Outcome)
        self.offered = self._tenants(Counter, "turns_offered", "Valid turns on arrival, including turns that are then refused.")
        self.refusals = self._tenants(Counter, "refusals", "Turns refused, by reason.", reason=REASONS)
        self.barge_ins = self._tenants(
            Counter, "barge_ins", "Turns whose caller hung up before the end, by what the caller had heard.", heard=HEARD
        )

    def _time_turns(self) -> None:
        self.ttft = self._tenants(
            _in(TTFT_BUCKETS_S), "ttft_seconds", "Time from the request's arrival to the first non-empty text or tool call."
        )
        self.first_sentence = self._tenants(
            _in(SENTENCE_BUCKETS_S),
            "first_sentence_seconds",
            "Time from the request's arrival to the end of the first sentence, when a voice can start to speak.",
        )
        self.duration = self._tenants(
            _in(DURATION_BUCKETS_S),
            "turn_duration_seconds",
            "Time from the request's arrival to the end of an answered turn.",
        )

    def _count_tokens(self) -> None:
        self.prompt_tokens = self._tenants(Counter, "prompt_tokens", "Prompt tokens of finished turns.")
        self.cached_tokens = self._tenants(
            Counter, "cached_tokens", "Prompt tokens of finished turns that were found in the prefix cache."
        )
        self.completion_tokens = self._tenants(Counter, "completion_tokens", "Completion tokens of finished turns.")
        self.reasoning_tokens = self._tenants(
            Counter, "reasoning_tokens", "Completion tokens of finished turns that were thoughts: generated and not spoken."
        )
        self.dropped_calls = self._tenants(
            Counter,
            "dropped_calls",
            "Tool calls of the model that were not passed on, by reason.",
            reason=("malformed", "unknown_function"),
        )
        self.wasted_tokens = self._tenants(
            Counter, "wasted_tokens", "Completion tokens generated for turns whose caller hung up."
        )

    def _time_stages(self) -> None:
        self.stage = self._one(
            _in(STAGE_BUCKETS_S), "stage_seconds", "Time that a turn spent in each stage until its first token.", stage=STAGES
        )
        self.tpot = self._one(
            _in(TPOT_BUCKETS_S), "tpot_seconds", "Time per output token (TPOT) of finished turns, after the first token."
        )
        self.frame_gap = MergingHistogram(
            f"{PREFIX}frame_gap_seconds", "Time between two frames of a stream.", GAP_BUCKETS_S, self.registry
        )
        self.engine_step = self._one(
            _in(STEP_BUCKETS_S), "engine_step_seconds", "Time of one engine step while the engine has work."
        )
        self.forecast_error = self._one(
            _in(FORECAST_ERROR_BUCKETS_S),
            "ttft_forecast_error_seconds",
            "Absolute error of the TTFT forecast, by whether the first token was early or late.",
            token=("early", "late"),
        )
        self.abort = self._one(
            _in(ABORT_BUCKETS_S), "abort_seconds", "Time from a caller's hang-up to the abort of the turn in the engine."
        )

    def _count_around_turns(self) -> None:
        self.rejected = self._one(
            Counter, "rejected_requests", "Requests refused before they became turns, by HTTP status.", status=REJECTED
        )
        self.system_prompt_warmups = self._one(
            Counter,
            "system_prompt_warmups",
            "Prefix warm-up runs of configured system prompts, by whether the prompt was computed or found in the prefix cache.",
            result=("computed", "found"),
        )
        self.system_prompt_evictions = self._one(
            Counter,
            "system_prompt_evictions",
            "Times that a configured system prompt was no longer complete in the prefix cache.",
        )
        self.adapter_loads = self._one(
            Counter,
            "adapter_loads",
            "LoRA adapter loads, by result.",
            result=("loaded", "refused", "file_unreadable"),
        )
        self.key_file_reloads = self._one(
            Counter, "key_file_reloads", "Key file reloads, by result.", result=("loaded", "refused")
        )

    def _gauges(self) -> None:
        """Create the gauges. Most are read at scrape time, on the scraper's thread: `app` gives each its `set_function`."""
        self.turns_running = self._gauge("turns_running", "Turns in the engine.")
        self.turns_waiting = self._gauge("turns_waiting", "Turns that are being tokenized or wait for a slot in the engine.")
        self.turns_limit = self._gauge("turns_limit", "Turns that may run at once, calculated from measured engine steps.")
        self.ttft_budget = self._gauge(
            "ttft_budget_seconds", "TTFT budget of a turn for which neither the request nor the tenant sets one."
        )
        self.tpot_bound = self._gauge("tpot_bound_seconds", "Bound on the time per output token (TPOT) of running turns.")
        self.ready = self._gauge("ready", "1 while /readyz reports ready, otherwise 0.")
        self.state = self._gauge("state", "1 for the current state of the service, 0 for the other states.", state=STATES)
        self.drain_deadline = self._gauge(
            "drain_deadline_timestamp_seconds", "Unix time when the current drain cuts off running turns; 0 without a drain."
        )
        self.engine_silent = self._gauge("engine_silent_seconds", "Time without an engine step while the engine had turns.")
        self.unproven_format = self._gauge(
            "unproven_format", "1 if the model's format of tool calls or thoughts is not proven, otherwise 0."
        )
        self.adapters = self._gauge("adapters", "Loaded LoRA adapters that a request's `model` may name.")
        self.key_file_ok = self._gauge(
            "key_file_ok", "0 while the key file cannot be used and the last valid keys stay in use, otherwise 1."
        )
        self.key_file_ok.set(1)

    def describe_build(self, **labels: str) -> None:
        """Add a metric that is always 1. Its labels describe what runs."""
        help_text = "Always 1. The labels describe what runs."
        Gauge(f"{PREFIX}build_info", help_text, tuple(labels), registry=self.registry).labels(**labels).set(1)

    def _tenants(self, kind: Callable[..., M], name: str, help_text: str, **rest: Iterable[str]) -> M:
        metric = kind(f"{PREFIX}{name}", help_text, ("tenant", "model", *rest), registry=self.registry)
        self._of_tenants.append((metric, _rows(rest)))
        return with_quick_labels(metric)

    def _one(self, kind: Callable[..., M], name: str, help_text: str, **rest: Iterable[str]) -> M:
        metric = kind(f"{PREFIX}{name}", help_text, tuple(rest), registry=self.registry)
        for row in _rows(rest) if rest else ():
            metric.labels(*row)
        return with_quick_labels(metric)

    def _gauge(self, name: str, help_text: str, **rest: Iterable[str]) -> Gauge:
        return self._one(Gauge, name, help_text, **rest)


def _in(bounds: Sequence[float]) -> Callable[..., Histogram]:
    return partial(Histogram, buckets=bounds)


def _rows(rest: Mapping[str, Iterable[str]]) -> Rows:
    """Return every combination of values of the labels other than tenant and model."""
    return [tuple(map(str, row)) for row in product(*rest.values())]
