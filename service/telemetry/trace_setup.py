"""Makes the traces that the settings ask for."""

from service.telemetry.traces import OtlpProtocol, Traces


def make_traces(*, endpoint: str | None, protocol: OtlpProtocol, sample_ratio: float, version: str) -> Traces | None:
    """Return traces that go to an OTLP collector. None without an endpoint; then OpenTelemetry is not imported.

    `sample_ratio` (0 to 1) is the traced share of the turns whose caller sends no trace context. Otherwise the caller's context
    decides. Raises `StartError` if the endpoint is not a valid address.
    """
    if endpoint is None:
        return None
    from service.telemetry.otlp import OtlpTraces  # noqa: PLC0415 - not imported where traces are off

    return OtlpTraces(endpoint, protocol, sample_ratio, version)
