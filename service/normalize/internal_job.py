"""Jobs of turns that the service runs itself. They pass the same checks as a caller's request."""

from collections.abc import Mapping
from typing import Any

import orjson

from service.domain import Caller, ChatJob
from service.engine.model_registry import ModelRegistry
from service.normalize.job import normalize
from service.schema.request import parse_request


def internal_job(asked: Mapping[str, Any], *, caller: Caller, turn_id: str, model_registry: ModelRegistry) -> ChatJob:
    """Return the job for a request body. Without `model` in the body, the base model is used.

    Raises the errors of `parse_request` and `normalize`.
    """
    body = {"model": model_registry.card.name, **asked}
    request = parse_request(orjson.dumps(body), max_messages=len(body["messages"]))
    return normalize(request, caller=caller, turn_id=turn_id, model_registry=model_registry, max_choices=1)
