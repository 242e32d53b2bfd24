"""A burst at an idle service with default settings is all served: how many may run is learned, never a constant."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.live.conftest import ENGINE_START_S
from tests.support.process import ServiceProcess, service_process

TINY = {"num_hidden_layers": 1, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 2, "num_key_value_heads": 1}
"""Dummy weights of this shape: an engine whose steps cost next to nothing."""


def burst(service: ServiceProcess, turns: int) -> list[int]:
    """The statuses of so many turns sent at the same moment, half of them streams."""
    with ThreadPoolExecutor(turns) as callers:
        sent = [callers.submit(service.post, service.body(f"Call {turn}.", stream=turn % 2 == 0)) for turn in range(turns)]
        return [answer.result().status_code for answer in sent]


def test_sixty_four_on_the_tiny_dummy_engine(tmp_path: Path) -> None:
    args = json.dumps({"load_format": "dummy", "hf_overrides": {**TINY, "head_dim": 32}})
    with service_process(tmp_path / "log", within_s=ENGINE_START_S, engine_args=args) as running:
        for _ in range(3):  # The first finds an engine of which nothing is known yet.
            assert burst(running, 64) == [200] * 64


def test_sixteen_on_the_embedded_model(service: ServiceProcess) -> None:
    for _ in range(3):
        assert burst(service, 16) == [200] * 16
