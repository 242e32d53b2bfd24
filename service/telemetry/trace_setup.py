"""From the settings to traces, or to none."""

from service.telemetry.traces import OtlpProtocol, Traces


def make_traces(*, endpoint: str | None, protocol: OtlpProtocol, sample_ratio: float, version: str) -> Traces | None:
    """Traces that go to an OTLP collector; None without an endpoint, and then OpenTelemetry is not imported.

    `sample_ratio` (0 to 1) is the share that is traced of turns whose caller sends no trace context. A caller's context decides
    for its own turn. Raises `StartError` where the endpoint is not a usable address.
    """
    if endpoint is None:
        return None
    from service.telemetry.otlp import OtlpTraces  # noqa: PLC0415 - not imported where traces are off

    return OtlpTraces(endpoint, protocol, sample_ratio, version)
