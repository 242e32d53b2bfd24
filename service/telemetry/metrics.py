"""The catalogue: every metric of ours, `firstword_*`, in base units. docs/metrics.md is tested equal to it.

Recorded per turn or per step of the engine, never per token. Labels are bounded: tenants by a setting (`Telemetry` names the
rest `other`), the model by what the process serves, everything else by the sets of words below. `pool` and `release` are no
labels of ours: the scraper adds them, since a process does not know what it is called from outside.
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

# A 300 ms budget needs steps of 50 ms around it; past a second a voice call is in trouble and coarse is enough.
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
"""Why a turn was refused: the first six for want of capacity, the rest by the tenant's own limits."""
STAGES = ("auth", "read", "normalize", "render", "wait", "prefill")
"""What a turn passes up to its first token, in this order."""
STATES = ("starting", "ready", "draining", "failed")
HEARD = ("nothing", "speech")
"""What a caller had heard who hung up before the end."""
REJECTED = ("400", "401", "404", "405", "408", "413", "415")
"""HTTP statuses of requests that did not become turns."""

# They would double the number of series, and no dashboard here reads them. vLLM's are left out with them.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """One service's metrics, in a registry of its own: two services can live in one test process."""

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
        """Make every series of a tenant exist at 0: a rate over a series that appears at 1 misses its first turn."""
        for metric, rows in self._of_tenants:
            for row in rows:
                metric.labels(label, self.model, *row)

    def _count_turns(self) -> None:
        self.turns = self._tenants(Counter, "turns", "Turns by how they ended.", outcome=Outcome)
        self.offered = self._tenants(Counter, "turns_offered", "Valid turns as they arrive, those then refused included.")
        self.refusals = self._tenants(Counter, "refusals", "Turns refused, by reason.", reason=REASONS)
        self.barge_ins = self._tenants(
            Counter, "barge_ins", "Turns whose caller hung up before the end, by what was heard until then.", heard=HEARD
        )

    def _time_turns(self) -> None:
        self.ttft = self._tenants(
            _in(TTFT_BUCKETS_S), "ttft_seconds", "From the request's arrival to the first non-empty content or tool call."
        )
        self.first_sentence = self._tenants(
            _in(SENTENCE_BUCKETS_S),
            "first_sentence_seconds",
            "From the request's arrival to the end of the first sentence, when a voice can start to speak.",
        )
        self.duration = self._tenants(
            _in(DURATION_BUCKETS_S),
            "turn_duration_seconds",
            "From the request's arrival to the end of a turn that was answered.",
        )

    def _count_tokens(self) -> None:
        self.prompt_tokens = self._tenants(Counter, "prompt_tokens", "Prompt tokens of finished turns.")
        self.cached_tokens = self._tenants(Counter, "cached_tokens", "Prompt tokens of finished turns found in the prefix cache.")
        self.completion_tokens = self._tenants(Counter, "completion_tokens", "Completion tokens of finished turns.")
        self.wasted_tokens = self._tenants(
            Counter, "wasted_tokens", "Completion tokens generated for turns whose caller hung up."
        )

    def _time_stages(self) -> None:
        self.stage = self._one(
            _in(STAGE_BUCKETS_S), "stage_seconds", "What a turn spent in each stage up to its first token.", stage=STAGES
        )
        self.tpot = self._one(_in(TPOT_BUCKETS_S), "tpot_seconds", "Time per output token of finished turns, after the first.")
        self.frame_gap = MergingHistogram(
            f"{PREFIX}frame_gap_seconds", "Between one frame of a stream and the next.", GAP_BUCKETS_S, self.registry
        )
        self.engine_step = self._one(
            _in(STEP_BUCKETS_S), "engine_step_seconds", "Time of one step of the engine, while it has work."
        )
        self.forecast_error = self._one(
            _in(FORECAST_ERROR_BUCKETS_S),
            "ttft_forecast_error_seconds",
            "How far the forecast time to the first token was off, by whether the token was early or late.",
            token=("early", "late"),
        )
        self.abort = self._one(
            _in(ABORT_BUCKETS_S), "abort_seconds", "From a caller's hang-up to the turn's abort in the engine."
        )

    def _count_around_turns(self) -> None:
        self.rejected = self._one(
            Counter, "rejected_requests", "Requests refused before they became turns, by HTTP status.", status=REJECTED
        )
        self.system_prompt_warmups = self._one(
            Counter,
            "system_prompt_warmups",
            "Configured system prompts run ahead of calls, by whether the prefix cache had them.",
            result=("computed", "found"),
        )
        self.system_prompt_evictions = self._one(
            Counter, "system_prompt_evictions", "Times that a configured system prompt was no longer whole in the prefix cache."
        )
        self.adapter_loads = self._one(
            Counter,
            "adapter_loads",
            "LoRA adapters by what became of loading them.",
            result=("loaded", "refused", "file_unreadable"),
        )
        self.key_file_reloads = self._one(
            Counter, "key_file_reloads", "Changes of the key file by what became of them.", result=("loaded", "refused")
        )

    def _gauges(self) -> None:
        """Those that others know are read when scraped, on the scraper's thread: `set_function` says from where."""
        self.turns_running = self._gauge("turns_running", "Turns in the engine.")
        self.turns_waiting = self._gauge("turns_waiting", "Turns being tokenized, or waiting for the engine.")
        self.turns_limit = self._gauge("turns_limit", "Turns that may run at once, as measured steps allow.")
        self.ttft_budget = self._gauge(
            "ttft_budget_seconds", "Time to first token that a turn may take, where nothing else is said."
        )
        self.tpot_bound = self._gauge("tpot_bound_seconds", "Time per output token that running turns are to keep to.")
        self.ready = self._gauge("ready", "1 while /readyz says ready.")
        self.state = self._gauge("state", "1 for the state that the service is in, 0 for the others.", state=STATES)
        self.drain_deadline = self._gauge(
            "drain_deadline_timestamp_seconds", "When the present drain cuts off what still runs; 0 without a drain."
        )
        self.engine_silent = self._gauge("engine_silent_seconds", "How long the engine has had turns since its last step.")
        self.adapters = self._gauge("adapters", "LoRA adapters that `model` may name.")
        self.key_file_ok = self._gauge("key_file_ok", "0 while the key file cannot be used and the last good keys are.")
        self.key_file_ok.set(1)

    def describe_build(self, **labels: str) -> None:
        """What runs, as labels of a metric that is always 1."""
        help_text = "Always 1; what runs is in the labels."
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
    """Every combination of the labels beyond tenant and model."""
    return [tuple(map(str, row)) for row in product(*rest.values())]
