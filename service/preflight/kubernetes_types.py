"""Kubernetes's own notations: objects as JSON, and quantities."""

from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

Json = dict[str, Any]


def quantity(value: object) -> Decimal:
    """Of `500m`, `24Gi`, 4. Raises `ValueError`."""
    if isinstance(value, bool) or not (parsed := Decimal(parse_quantity(value))).is_finite():  # type: ignore[no-untyped-call]
        raise ValueError
    return parsed
