"""Turns that the service takes of its own accord: they pass what a caller's request passes."""

from collections.abc import Mapping
from typing import Any

import orjson

from service.domain import Caller, ChatJob
from service.engine.model_registry import ModelRegistry
from service.normalize.job import normalize
from service.schema.request import parse_request


def internal_job(asked: Mapping[str, Any], *, caller: Caller, turn_id: str, model_registry: ModelRegistry) -> ChatJob:
    """What a body means, with the model itself where it names none. Raises as `parse_request` and `normalize` do."""
    body = {"model": model_registry.card.name, **asked}
    request = parse_request(orjson.dumps(body), max_messages=len(body["messages"]))
    return normalize(request, caller=caller, turn_id=turn_id, model_registry=model_registry, max_choices=1)
