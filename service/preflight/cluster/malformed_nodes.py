"""Detection of malformed nodes. One malformed node must not stop the checks of the others."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from service.preflight.kubernetes_types import Json, quantity


class _Taint(BaseModel):
    key: str
    effect: str
    value: str | None = None


class _Condition(BaseModel):
    type: str
    status: str


class _Metadata(BaseModel):
    name: str
    labels: dict[str, str] | None = None


class _Spec(BaseModel):
    taints: list[_Taint] | None = None


class _Status(BaseModel):
    allocatable: dict[str, Any] | None = None
    capacity: dict[str, Any] | None = None
    conditions: list[_Condition] | None = None


class _Node(BaseModel):
    """The parts of a node that preflight reads."""

    metadata: _Metadata
    spec: _Spec
    status: _Status


def fault_of(node: Json, asked: Iterable[str]) -> str:
    """Return the node's name and fault, such as `gpu-1 (status is missing or malformed)`, or an empty text.

    `asked` are the resources that the pools request. Other resources may be malformed.
    """
    try:
        read = _Node.model_validate(node)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        return f"{_name(node)} ({place} is missing or malformed)"
    for resource in sorted(asked):
        try:
            quantity((read.status.allocatable or {}).get(resource, 0))
        except (ValueError, ArithmeticError):
            return f"{_name(node)} (its allocatable {resource} is not a quantity)"
    return ""


def _name(node: Json) -> str:
    metadata = node.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else "a node without a name"
