"""The telemetry that the steps of a turn report to: metrics, and the log line and trace of each turn."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.domain import Arrival, Caller
from service.telemetry.metrics import REJECTED, Metrics
from service.telemetry.traces import Traces
from service.telemetry.turn_record import TurnRecord

OTHER = "other"
"""Label value of all tenants without a label value of their own."""


class Telemetry:
    """The telemetry of one service.

    `max_tenants` bounds the values of the label `tenant`. The first tenants get their own value, until the process ends.
    """

    def __init__(self, *, model: str, ttft_budget_s: float, max_tenants: int = 50, traces: Traces | None = None) -> None:
        self.metrics = Metrics(model)
        self.metrics.ttft_budget.set(ttft_budget_s)
        self._ttft_budget_s = ttft_budget_s
        self._max_tenants = max_tenants
        self._tenants: set[str] = set()
        self._traces = traces

    def add_tenant(self, tenant: str) -> None:
        """Create a tenant's series at 0, before its first turn."""
        if tenant in self._tenants:
            return
        if len(self._tenants) < self._max_tenants:
            self._tenants.add(tenant)
            self.metrics.add_tenant(tenant)
        else:
            self.metrics.add_tenant(OTHER)

    def key_file_reloaded(self, *, is_ok: bool) -> None:
        """Record that the key file has changed, and whether its keys were loaded."""
        self.metrics.key_file_reloads.labels("loaded" if is_ok else "refused").inc()
        self.metrics.key_file_ok.set(is_ok)

    def rejected(self, status: int) -> None:
        """Count a request that was refused before it became a turn."""
        if str(status) in REJECTED:
            self.metrics.rejected.labels(str(status)).inc()

    def close(self, within_s: float) -> None:
        """Send the traces that are still queued. Blocks for up to `within_s` seconds."""
        if self._traces is not None:
            self._traces.close(within_s)

    @contextmanager
    def turn(self, turn_id: str, caller: Caller, arrival: Arrival) -> Iterator[TurnRecord]:
        """Record one turn, however it ends. Exceptions pass through."""
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
