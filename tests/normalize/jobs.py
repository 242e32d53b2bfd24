"""Makes a job from a request's fields, or the error if there is none."""

from typing import Any

import pytest

from service.domain import Adapter, Caller, ChatJob
from service.engine.model_registry import ModelRegistry
from service.errors import InvalidRequest
from service.normalize import normalize
from tests.support.factories import make_card, make_request

ADAPTER = Adapter("support-bot", "/adapters/support-bot", 1)
FUNCTION = {"name": "hang_up"}
TOOL = {"type": "function", "function": FUNCTION}
ACME = Caller("acme")


def job_of(*, caller: Caller = ACME, aliases: tuple[str, ...] = (), **fields: Any) -> ChatJob:
    """Return the job for a model `m` with a context of 100 tokens, one adapter, and at most four choices."""
    model_registry = ModelRegistry(make_card(max_model_len=100), aliases)
    model_registry.add(ADAPTER)
    return normalize(make_request(**fields), caller=caller, turn_id="turn-1", model_registry=model_registry, max_choices=4)


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        job_of(**fields)
    return caught.value
