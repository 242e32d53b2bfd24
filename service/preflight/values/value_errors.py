"""Values that are refused, in words: where, and what to change. What was given is shown only where it can be no secret: people
put keys and tokens in wrong places.
"""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from service.preflight.finding import CannotLook
from service.preflight.values.chart_values import Values
from service.preflight.values.pool_values import PoolValues

Json = dict[str, Any]

_MOST_SHOWN = 24
_TELLING = re.compile(r"secret|token|key|env|settings|engineArgs|password", re.IGNORECASE)
_TOKEN = re.compile(r"(hf|fw|sk)[_-]", re.IGNORECASE)
_NEEDED = ("engineArgs", "settings", "nodeSelector", "aliases")
"""Those of the maps and lists that the chart cannot do without, empty as they are."""
_KINDS = {dict: "a map", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


def refusal(told: Iterable[str]) -> CannotLook:
    return CannotLook("\n  ".join(["The values are refused:", *told]))


def lines(error: ValidationError, known: Iterable[str], *, under: str = "") -> Iterator[str]:
    """`known`: what a wrong key may have meant."""
    for each in error.errors(include_url=False):
        path = _path(each["loc"], under)
        if each["type"] == "extra_forbidden":
            near = get_close_matches(str(each["loc"][-1]), list(known), n=1)
            yield f"{path}: there is no such value{f'; did you mean {near[0]}?' if near else '; take it out.'}"
        elif each["type"] == "missing":
            yield f"{path}: this is needed."
        else:
            given = _kind(each["input"]) if _TELLING.search(path) else shown(each["input"])
            yield f"{path}: {given} is refused: {each['msg']}."


def shown(given: object) -> str:
    """A number or a short word as it is; of all else the kind."""
    if given is None or isinstance(given, bool | int | float):
        return repr(given)
    is_short = isinstance(given, str) and len(given) <= _MOST_SHOWN and not _TOKEN.search(given)
    return repr(given) if is_short else _kind(given)


def taken_away(defaults: Json, merged: Json, model: type[BaseModel], path: str = "") -> Iterator[str]:
    """What null took away of the chart's own, and the chart needs."""
    for key, group in _keys(model):
        if key not in merged:
            # It can without what is empty, and without lists and maps: but for a few.
            if group or key in _NEEDED or (defaults[key] != "" and not isinstance(defaults[key], list | dict)):
                yield f"{path}{key}: null takes the chart's own away, and it is needed: leave it out, or write what you want."
        elif group and isinstance(merged[key], dict):
            yield from taken_away(defaults[key], merged[key], group, f"{path}{key}.")


def without_nulls(defaults: Json, merged: Json, model: type[BaseModel]) -> Json:
    """With empty lists and maps for those that null took away: else the model's own would come back."""
    result = dict(merged)
    for key, group in _keys(model):
        if key not in merged:
            result[key] = type(defaults[key])()
        elif group and isinstance(merged[key], dict):
            result[key] = without_nulls(defaults[key], merged[key], group)
    return result


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel] | None]]:
    """Each with the model of a group."""
    for field in model.model_fields.values():
        kind = field.annotation
        yield field.alias or "", kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def known_keys() -> set[str]:
    """Of every level: a near one is most often the one that was meant."""

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
        told = "…" if isinstance(part, str) and _TOKEN.match(part) else part
        text += f"[{told}]" if isinstance(part, int) else f".{told}" if text else str(told)
    return text or "values"
