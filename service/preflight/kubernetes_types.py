"""Kubernetes notation: objects as JSON, and quantities."""

from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

Json = dict[str, Any]


def quantity(value: object) -> Decimal:
    """Parse a quantity such as `500m`, `24Gi` or 4. Raises `ValueError` when it is not a quantity."""
    if isinstance(value, bool) or not (parsed := Decimal(parse_quantity(value))).is_finite():  # type: ignore[no-untyped-call]
        raise ValueError
    return parsed
