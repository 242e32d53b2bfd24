"""What the rooms are given to say what happens: metrics, the log line and the trace of each turn."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.domain import Arrival, Caller
from service.telemetry.metrics import REJECTED, Metrics
from service.telemetry.traces import Traces
from service.telemetry.turn_record import TurnRecord

OTHER = "other"
"""Stands for the tenants beyond those that have a label of their own."""


class Telemetry:
    """Of one service. `max_tenants` bounds the label `tenant`: first come, until the process ends."""

    def __init__(self, *, model: str, ttft_budget_s: float, max_tenants: int = 50, traces: Traces | None = None) -> None:
        self.metrics = Metrics(model)
        self.metrics.ttft_budget.set(ttft_budget_s)
        self._ttft_budget_s = ttft_budget_s
        self._max_tenants = max_tenants
        self._tenants: set[str] = set()
        self._traces = traces

    def add_tenant(self, tenant: str) -> None:
        """It may come from now on: its series are there at 0."""
        if tenant in self._tenants:
            return
        if len(self._tenants) < self._max_tenants:
            self._tenants.add(tenant)
            self.metrics.add_tenant(tenant)
        else:
            self.metrics.add_tenant(OTHER)

    def key_file_reloaded(self, *, is_ok: bool) -> None:
        """The key file has changed, and its keys were taken or refused."""
        self.metrics.key_file_reloads.labels("loaded" if is_ok else "refused").inc()
        self.metrics.key_file_ok.set(is_ok)

    def rejected(self, status: int) -> None:
        """A request was refused that is no turn."""
        if str(status) in REJECTED:
            self.metrics.rejected.labels(str(status)).inc()

    def close(self, within_s: float) -> None:
        """Send the traces that are still here. Blocks."""
        if self._traces is not None:
            self._traces.close(within_s)

    @contextmanager
    def turn(self, turn_id: str, caller: Caller, arrival: Arrival) -> Iterator[TurnRecord]:
        """Record one turn, however it ends. Errors pass through."""
        label = caller.tenant if caller.tenant in self._tenants else OTHER
        span = self._traces.begin(arrival.trace_headers, arrival.at_s) if self._traces else None
        record = TurnRecord(
            self.metrics,
            turn_id,
            arrival,
            tenant=caller.tenant,
            tenant_label=label,
            budget_s=self._ttft_budget_s,
            span=span,
        )
        try:
            yield record
        except BaseException as error:
            record.close(error)
            raise
        record.close(None)
