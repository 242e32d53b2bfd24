"""Error lines for invalid values: the path, the value given and what to change.

A line shows the value only where it cannot be a secret, because users put keys and tokens in wrong places.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from service.preflight.finding import PreflightError
from service.preflight.values.chart_values import Values
from service.preflight.values.pool_values import PoolValues

Json = dict[str, Any]

_MOST_SHOWN = 24
"""Longest text that an error shows, in characters."""
_SENSITIVE = re.compile(r"secret|token|key|env|settings|engineArgs|password", re.IGNORECASE)
_TOKEN = re.compile(r"(hf|fw|sk)[_-]", re.IGNORECASE)
_NEEDED = ("engineArgs", "settings", "nodeSelector", "aliases")
"""Maps and lists that the chart needs, even when they are empty."""
_KINDS = {dict: "a map", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def refusal(errors: Iterable[str]) -> PreflightError:
    return PreflightError("\n  ".join(["The values are not valid:", *errors]))


def lines(error: ValidationError, known: Iterable[str], *, under: str = "") -> Iterator[str]:
    """Format validation errors, one line each. `known` are the keys to suggest for an unknown one."""
    for each in error.errors(include_url=False):
        path = _path(each["loc"], under)
        if each["type"] == "extra_forbidden":
            near = get_close_matches(str(each["loc"][-1]), list(known), n=1)
            yield f"{path}: unknown value. {f'Did you mean {near[0]}?' if near else 'Remove it.'}"
        elif each["type"] == "missing":
            yield f"{path}: this value is required."
        else:
            given = _kind(each["input"]) if _SENSITIVE.search(path) else shown(each["input"])
            yield f"{path}: {given} is not valid. {each['msg']}."


def shown(given: object) -> str:
    """Show a number or a short string as it is, and of everything else only its type."""
    if given is None or isinstance(given, bool | int | float):
        return repr(given)
    is_short = isinstance(given, str) and len(given) <= _MOST_SHOWN and not _TOKEN.search(given)
    return repr(given) if is_short else _kind(given)


def removed_by_null(defaults: Json, merged: Json, model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Report defaults that a null removed and that the chart needs."""
    for key, group in _keys(model):
        if key not in merged:
            # The chart works without empty values, lists and maps, except for those in `_NEEDED`.
            if group or key in _NEEDED or (defaults[key] != "" and not isinstance(defaults[key], list | dict)):
                yield f"{path}{key}: null removes a default that the chart needs. Remove the key, or set a value."
        elif group and isinstance(merged[key], dict):
            yield from removed_by_null(defaults[key], merged[key], group, f"{path}{key}.")


def without_nulls(defaults: Json, merged: Json, model: type[BaseModel]) -> Json:
    """Put an empty value where a null removed one. Without this, the model's default would come back."""
    result = dict(merged)
    for key, group in _keys(model):
        if key not in merged:
            result[key] = type(defaults[key])()
        elif group and isinstance(merged[key], dict):
            result[key] = without_nulls(defaults[key], merged[key], group)
    return result


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel] | None]]:
    """Yield each key, with the model of its group or None."""
    for field in model.model_fields.values():
        kind = field.annotation
        yield field.alias or "", kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def known_keys() -> set[str]:
    """Return the keys of every level, as suggestions for an unknown key."""

    def keys(document: object) -> Iterator[str]:
        if isinstance(document, dict):
            for key, value in document.items():
                yield key
                yield from keys(value)

    return {*keys(Values().model_dump(by_alias=True)), *keys(PoolValues().model_dump(by_alias=True)), "name"}


def _kind(given: object) -> str:
    return _KINDS.get(type(given), "a number")


def _path(location: tuple[int | str, ...], under: str) -> str:
    text = under
    for part in location:
        step = "…" if isinstance(part, str) and _TOKEN.match(part) else part
        text += f"[{step}]" if isinstance(part, int) else f".{step}" if text else str(step)
    return text or "values"
