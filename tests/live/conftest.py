"""The real service: `firstword serve` on real vLLM and the embedded model, one process for the whole live suite."""

import json
from collections.abc import Iterator

import pytest

from tests.support.process import ServiceProcess, service_process
from tests.support.service_under_test import KEY, OTHER_KEY

ENGINE_START_S = 240.0
SYSTEM_PROMPT = "You are the telephone agent of a bank, and you never say more than one sentence. " * 60


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    log = tmp_path_factory.mktemp("live") / "service.log"
    keys = f"acme={KEY},other={OTHER_KEY}"  # Two tenants: their prefix caches are kept apart.
    prompts = json.dumps([{"system": SYSTEM_PROMPT}])
    with service_process(log, within_s=ENGINE_START_S, key=KEY, api_keys=keys, system_prompts=prompts) as running:
        yield running
