"""Objects of the cluster that are not as Kubernetes has them: one must not keep the others from being judged."""

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
    """What is read of one."""

    metadata: _Metadata
    spec: _Spec
    status: _Status


def fault_of(node: Json, asked: Iterable[str]) -> str:
    """`gpu-1 (no status)`, or nothing; `asked`: the resources that somebody wants to know of."""
    try:
        read = _Node.model_validate(node)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        return f"{_name(node)} ({place} is missing or odd)"
    for resource in sorted(asked):
        try:
            quantity((read.status.allocatable or {}).get(resource, 0))
        except (ValueError, ArithmeticError):
            return f"{_name(node)} (its allocatable {resource} is no quantity)"
    return ""


def _name(node: Json) -> str:
    metadata = node.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else "one without a name"
