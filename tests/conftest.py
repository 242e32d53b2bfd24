"""The service that the contract tests get when they run on the scripted engine."""

from collections.abc import Iterator

import pytest

from tests.support.service_under_test import ScriptedService, scripted_service


@pytest.fixture(scope="session")
def service() -> Iterator[ScriptedService]:
    """One for all tests that change nothing in it. Steps take a moment, so that concurrent streams overlap."""
    with scripted_service(engine_args={"prefill_s": 0.01, "step_s": 0.01}) as running:
        yield running
