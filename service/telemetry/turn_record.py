"""The record of one turn: its part of the metrics, its line in the log, and its trace."""

import asyncio
import time
from collections.abc import Mapping

import structlog

from service.domain import Arrival, ChatJob, Generated, Outcome, PreparedTurn, Stage, Step, Usage
from service.errors import ClientGone, NotReady, Overloaded, RateLimited, TurnError
from service.telemetry.first_sentence import SpeechTimer
from service.telemetry.metrics import Metrics
from service.telemetry.traces import TurnSpan

_log = structlog.get_logger("firstword.turn")


class TurnRecord:
    """The measurements of one turn. Times are monotonic seconds.

    Metrics are recorded at `close`, except that a valid turn is counted as offered at once.
    """

    def __init__(
        self,
        metrics: Metrics,
        turn_id: str,
        arrival: Arrival,
        *,
        tenant: str,
        tenant_label: str,
        budget_s: float,
        span: TurnSpan | None,
    ) -> None:
        self._budget_s = budget_s
        self._metrics = metrics
        self._turn_id = turn_id
        self._tenant = tenant
        self._labels = (tenant_label, metrics.model)
        self._arrival = arrival
        self._span = span
        self._stages = list(arrival.stages)
        self._since_s = self._stages[-1].end_s if self._stages else arrival.at_s
        self._generated = Generated()
        self._speech = SpeechTimer()
        self._is_stream = True
        self._has_answered = False
        self._gaps = metrics.frame_gap.start()
        self._begun_s: float | None = None
        self._choices = 1
        self._usage: Usage | None = None
        self._tpot_s: float | None = None
        self._rules: tuple[str, ...] = ()

    @property
    def trace_headers(self) -> Mapping[str, str] | None:
        """Trace headers for the engine, whose own spans continue this turn's trace."""
        return self._span.engine_headers if self._span else None

    def budgeted(self, budget_s: float) -> None:
        """Set this turn's TTFT budget in seconds. A later first word makes the turn `late`."""
        self._budget_s = budget_s

    def passed(self, stage: str) -> None:
        """Record the end of a stage, one of `STAGES`."""
        now_s = time.monotonic()
        self._stages.append(Stage(stage, self._since_s, now_s))
        self._since_s = now_s

    def normalized(self, job: ChatJob) -> None:
        """Record that the turn is valid, and count it as offered. The log gets the names of the rules that changed something."""
        self.passed("normalize")
        self._metrics.offered.labels(*self._labels).inc()
        self._rules = job.rules
        self._choices, self._is_stream = job.sampling.n, job.is_stream

    def prepared(self, turn: PreparedTurn) -> None:
        """Record that the prompt is rendered. From now on the engine counts the tokens that it generates."""
        self.passed("render")
        self._generated = turn.generated

    def begun(self, forecast_error_s: float) -> None:
        """Record the first token. `forecast_error_s` is forecast time minus actual time: below 0, the token was late."""
        self.passed("prefill")
        self._begun_s = self._since_s
        self._metrics.forecast_error.labels("late" if forecast_error_s < 0 else "early").observe(abs(forecast_error_s))

    def said(self, step: Step) -> None:
        """Record a step that is about to be sent to the caller."""
        if not self._speech.is_done:
            self._speech.observe(step)

    def framed(self) -> None:
        """Record a frame that is sent to the caller."""
        if not (self._is_stream or self._has_answered):  # An answer that is not streamed is heard only when it is sent.
            self._speech.stamp()
        self._has_answered = True
        self._gaps.tick(time.monotonic())

    def finished(self, usage: Usage) -> None:
        """Record that the engine has finished the turn."""
        self._usage = usage
        later_tokens = usage.completion_tokens / self._choices - 1
        if self._begun_s is not None and later_tokens > 0:
            self._tpot_s = (time.monotonic() - self._begun_s) / later_tokens

    def close(self, error: BaseException | None) -> None:
        """End the record: fill the metrics, write the log line and end the span. `error` is what ended the turn early."""
        now_s = time.monotonic()
        outcome = self._outcome(error, now_s)
        abort_s = now_s - self._arrival.gone_s if error is not None and self._arrival.gone_s is not None else None
        self._fill_metrics(outcome, error, now_s, abort_s)
        facts = self._facts(outcome, error, now_s)
        dropped = {"abort_s": _rounded(abort_s), "wasted_tokens": None if abort_s is None else self._generated.tokens}
        stages = {stage.name: round(stage.end_s - stage.begin_s, 5) for stage in self._stages}
        trace_id = self._span.trace_id if self._span else None
        _log.info("turn", **facts, **dropped, stages_s=stages, rules=list(self._rules), trace_id=trace_id)
        if self._span is not None:
            last = "answer" if self._begun_s is not None else "unfinished"
            self._span.end([*self._stages, Stage(last, self._since_s, now_s)], _known(facts), _code(error))

    def _facts(self, outcome: Outcome, error: BaseException | None, now_s: float) -> dict[str, str | int | float | None]:
        usage = self._usage
        tokens = (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) if usage else (None, None, None)
        return {
            "turn_id": self._turn_id,
            "request_id": structlog.contextvars.get_contextvars().get("request_id"),
            "tenant": self._tenant,
            "model": self._metrics.model,
            "outcome": str(outcome),
            "status": self._status(error),
            "ttft_s": _rounded(self._since_arrival(self._first_word_s)),
            "first_sentence_s": _rounded(self._since_arrival(self._first_sentence_s)),
            "tpot_s": _rounded(self._tpot_s),
            "duration_s": _rounded(now_s - self._arrival.at_s),
            "prompt_tokens": tokens[0],
            "cached_tokens": tokens[1],
            "completion_tokens": tokens[2],
            "reasoning_tokens": usage.reasoning_tokens if usage else None,
            "dropped_calls": len(self._generated.dropped_calls),
            "error": _code(error),
            "refusal": error.reason if isinstance(error, Overloaded | NotReady | RateLimited) else None,
        }

    def _fill_metrics(self, outcome: Outcome, error: BaseException | None, now_s: float, abort_s: float | None) -> None:
        metrics, labels = self._metrics, self._labels
        metrics.turns.labels(*labels, outcome).inc()
        if isinstance(error, NotReady):  # It was refused before it was checked.
            metrics.offered.labels(*labels).inc()
        if isinstance(error, Overloaded | NotReady | RateLimited):
            metrics.refusals.labels(*labels, error.reason).inc()
        for stage in self._stages:
            metrics.stage.labels(stage.name).observe(stage.end_s - stage.begin_s)
        if (ttft_s := self._since_arrival(self._first_word_s)) is not None:
            metrics.ttft.labels(*labels).observe(ttft_s)
        if (sentence_s := self._since_arrival(self._first_sentence_s)) is not None:
            metrics.first_sentence.labels(*labels).observe(sentence_s)
        metrics.frame_gap.merge(self._gaps)
        if error is None:
            metrics.duration.labels(*labels).observe(now_s - self._arrival.at_s)
        for reason in self._generated.dropped_calls:
            metrics.dropped_calls.labels(*labels, reason).inc()
        if self._usage is not None:
            metrics.reasoning_tokens.labels(*labels).inc(self._usage.reasoning_tokens)
            metrics.prompt_tokens.labels(*labels).inc(self._usage.prompt_tokens)
            metrics.cached_tokens.labels(*labels).inc(self._usage.cached_tokens)
            metrics.completion_tokens.labels(*labels).inc(self._usage.completion_tokens)
        if self._tpot_s is not None:
            metrics.tpot.observe(self._tpot_s)
        if abort_s is not None:
            metrics.abort.observe(abort_s)
            metrics.wasted_tokens.labels(*labels).inc(self._generated.tokens)
            metrics.barge_ins.labels(*labels, "nothing" if self._first_word_s is None else "speech").inc()

    def _status(self, error: BaseException | None) -> int | None:
        """Return the HTTP status of the answer. None if there was no answer."""
        if error is None or self._has_answered:
            return 200
        return error.status if isinstance(error, TurnError) else None

    @property
    def _first_word_s(self) -> float | None:
        return self._speech.first_word_s if self._is_stream or self._has_answered else None

    @property
    def _first_sentence_s(self) -> float | None:
        return None if self._first_word_s is None else self._speech.first_sentence_s

    def _since_arrival(self, at_s: float | None) -> float | None:
        return None if at_s is None else at_s - self._arrival.at_s

    def _outcome(self, error: BaseException | None, now_s: float) -> Outcome:
        # A caller who hangs up after the budget has waited too long, so the turn is late and not cancelled.
        is_late = (self._first_word_s or now_s) - self._arrival.at_s > self._budget_s
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


def _rounded(time_s: float | None) -> float | None:
    return None if time_s is None else round(time_s, 4)


def _code(error: BaseException | None) -> str | None:
    if error is None:
        return None
    return error.code or error.type if isinstance(error, TurnError) else type(error).__name__


def _known(facts: Mapping[str, str | int | float | None]) -> dict[str, str | int | float]:
    return {name: fact for name, fact in facts.items() if fact is not None}
