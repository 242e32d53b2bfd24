"""The chart's values as a tree, the source of values.yaml and of the README's table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from service.preflight.values.chart_values import Values
from service.preflight.values.pool_values import PoolValues

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "map", list: "list"}


@dataclass(frozen=True)
class Node:
    """One key of the values."""

    key: str
    description: str
    type: str
    default: Any
    """Default, as in YAML. None for a group, whose keys have their own defaults, and for a required key."""
    nodes: tuple["Node", ...] = ()
    """Keys of a group."""
    items: tuple["Node", ...] = ()
    """Keys of a list's items."""
    choices: tuple[str, ...] = ()
    """Allowed values. Empty means any value of the type."""


def tree() -> tuple[Node, ...]:
    return tuple(_nodes(Values()))


def _nodes(group: BaseModel) -> Iterator[Node]:
    for name, field in type(group).model_fields.items():
        yield _node(field, getattr(group, name))


def _node(field: FieldInfo, value: Any) -> Node:
    key, description = field.alias or "", field.description or ""
    if isinstance(value, BaseModel):
        return Node(key, description, "", None, nodes=tuple(_nodes(value)))
    items = _model_in(field.annotation)
    return Node(
        key=key,
        description=description,
        type=_type(field.annotation),
        default=_as_yaml(value),
        items=tuple(_items(items)) if items else (),
        choices=get_args(field.annotation) if get_origin(field.annotation) is Literal else (),
    )


def _items(model: type[BaseModel]) -> Iterator[Node]:
    """Yield the keys of a list's items. Of a pool only the name, because `poolDefaults` has its other keys."""
    for name, field in model.model_fields.items():
        if not (issubclass(model, PoolValues) and name in PoolValues.model_fields):
            yield _node(field, None if field.is_required() else field.default)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a list's items, such as `Adapter` for `list[Adapter]`."""
    arguments = get_args(annotation)
    if get_origin(annotation) is list and isinstance(arguments[0], type) and issubclass(arguments[0], BaseModel):
        return arguments[0]
    return None


def _type(annotation: Any) -> str:
    origin = get_origin(annotation)
    return _TYPES[str if origin is Literal else origin or annotation]


def _as_yaml(value: Any) -> Any:
    """Convert a default to YAML types. Items of a list keep only the keys that were set."""
    if isinstance(value, list):
        return [item.model_dump(by_alias=True, exclude_unset=True) if isinstance(item, BaseModel) else item for item in value]
    return value
