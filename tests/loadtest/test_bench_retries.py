"""A measure in which the machine held the client up says nothing of a server."""

from typing import Any

import pytest

from loadtest.bench import cost
from loadtest.bench.streams import Heard
from loadtest.servers import Endpoint


@pytest.mark.parametrize(
    ("overslept_s", "tries", "kept"),
    [([0.01], 1, 0), ([0.4, 0.3, 0.02, 0.5], 3, 2), ([0.4, 0.3, 0.2, 0.5, 0.6, 0.0], 5, 2)],
)
def test_a_held_up_measure_is_taken_again_and_the_least_held_up_counts(
    overslept_s: list[float], tries: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    measures = iter(enumerate(overslept_s))

    async def nothing(*args: Any, **kwargs: Any) -> Heard:
        return Heard()

    def measured(*args: Any) -> tuple[float, dict[str, float | None]]:
        number, slept_s = next(measures)
        return slept_s, {"cpu_us_per_token": float(number)}

    monkeypatch.setattr(cost, "stream_for", nothing)
    monkeypatch.setattr(cost, "_measured", measured)
    meter = cost.Meter(Endpoint("127.0.0.1", 1, "m"), [])
    figures = cost.measure_cost(meter, {}, streams=1, seconds=1, warm_up_s=0, headers={})
    assert figures == {"cpu_us_per_token": float(kept), "client_overslept_s": overslept_s[kept], "tries": tries}
