"""Kubernetes label selectors."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def selects(selector: Json | None, labels: Mapping[str, str]) -> bool:
    """Check a label selector. A null selector matches nothing, and an empty one matches everything."""
    if selector is None:
        return False
    wanted = selector.get("matchLabels") or {}
    return wanted.items() <= dict(labels).items() and all(
        holds(expression, labels) for expression in selector.get("matchExpressions") or ()
    )


def holds(expression: Json, labels: Mapping[str, str]) -> bool:
    """Check one of `matchExpressions`. Only node selectors have `Gt` and `Lt`."""
    value, values = labels.get(expression["key"]), expression.get("values") or []
    operator = expression["operator"]
    if operator in ("Gt", "Lt"):
        if value is None or not value.lstrip("-").isdigit():
            return False
        return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
    return bool(
        {
            "In": value in values,
            "NotIn": value not in values,
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }.get(operator)
    )
