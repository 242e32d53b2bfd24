"""Histograms for what happens with every token."""

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from service.telemetry.tally import observe_many


def test_many_observations_at_once_are_the_same_as_one_by_one() -> None:
    amounts = [0.0, 0.01, 0.01, 0.011, 0.5, 2.0, 2.5, 1e9]
    exposed = []
    for observe in (observe_many, lambda histogram, amounts: [histogram.observe(amount) for amount in amounts]):
        registry = CollectorRegistry()
        histogram = Histogram("gap", "Of tokens.", ["engine"], buckets=[0.01, 0.1, 2.0], registry=registry).labels("0")
        observe(histogram, amounts[:5])
        observe(histogram, [])
        observe(histogram, amounts[5:])
        exposed.append([line for line in generate_latest(registry).decode().splitlines() if "created" not in line])
    assert exposed[0] == exposed[1]
    assert any(line.startswith("gap_count") and line.endswith(" 8.0") for line in exposed[0])
