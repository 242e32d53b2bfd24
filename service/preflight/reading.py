"""From the user's values files to pools, as Helm and the chart would merge them. All wrong use ends here, by key path."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from service.preflight.cluster import quantity
from service.preflight.finding import CannotLook
from service.preflight.pool_values import Pool, PoolValues
from service.preflight.values import Values

Json = dict[str, Any]

_STDIN = Path("-")
_MOST_SHOWN = 60

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Plan:
    """What is to be installed."""

    values: Values
    pools: tuple[Pool, ...]
    release: str
    namespace: str

    @property
    def fullname(self) -> str:
        """As in the chart."""
        is_ours = self.release == "firstword" or self.release.endswith("-firstword")
        return self.release if is_ours else f"{self.release}-firstword"


def read_values(files: Iterable[Path]) -> tuple[Values, tuple[Pool, ...]]:
    """Later files over earlier ones, all over the chart's own. Raises `CannotLook` with everything that is wrong."""
    merged = _defaults()
    for file in files:
        merged = _merge(merged, _load(file))
    merged.pop("global", None)  # Helm gives it to a chart inside another.
    values = _validated(Values, merged)
    pools = tuple(_validated(Pool, _merge(merged["poolDefaults"], pool)) for pool in merged["pools"])
    if wrong := [line for pool in pools for line in _no_quantities(pool)]:
        raise _refusal(wrong)
    return values, pools


def _defaults() -> Json:
    return {**Values().model_dump(by_alias=True), "pools": [{"name": "default"}]}


def _load(file: Path) -> Json:
    try:
        text = sys.stdin.read() if file == _STDIN else file.read_text(encoding="utf-8")
        document = yaml.safe_load(text)
    except OSError as error:
        raise CannotLook(f"The values file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CannotLook(f"The values file {file} is no text in UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise CannotLook(f"The values file {file} is no valid YAML{place}.") from None
    if not isinstance(document, dict | None):
        raise CannotLook(f"The values file {file} must be a map of values, such as `pools: […]`; it is a {_kind(document)}.")
    return document or {}


def _merge(below: Json, over: Json) -> Json:
    """As Helm does: maps key by key, lists whole, and null takes a default away."""
    result = dict(below)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _merge(old, value)
        elif value is None and key in result:
            del result[key]
            if isinstance(old, list | dict):
                result[key] = type(old)()  # Else the model's default would come back.
        else:
            result[key] = value
    return result


def _validated(model: type[Model], document: Json) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _refusal(_lines(error)) from None


def _lines(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False):
        path = _path(each["loc"])
        if each["type"] == "extra_forbidden":
            near = get_close_matches(str(each["loc"][-1]), _known_keys(), n=1)
            yield f"{path}: there is no such value{f'; did you mean {near[0]}?' if near else '; take it out.'}"
        elif each["type"] == "missing":
            yield f"{path}: this is needed."
        else:
            shown = repr(each["input"])
            yield f"{path}: {shown[:_MOST_SHOWN]}{'…' if len(shown) > _MOST_SHOWN else ''} is refused: {each['msg']}."


def _no_quantities(pool: Pool) -> Iterator[str]:
    for kind, given in (("requests", pool.resources.requests), ("limits", pool.resources.limits)):
        for name, value in given.items():
            try:
                quantity(value)
            except ValueError:
                yield f'pools, "{pool.name}": resources.{kind}.{name}: {value!r} is refused: write it as 500m, 4 or 24Gi.'


def _refusal(lines: Iterable[str]) -> CannotLook:
    return CannotLook("\n  ".join(["The values are refused:", *lines]))


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "values"


def _known_keys() -> set[str]:
    """Of every level: a near one is most often the one that was meant."""

    def keys(document: object) -> Iterator[str]:
        if isinstance(document, dict):
            for key, value in document.items():
                yield key
                yield from keys(value)

    return {*keys(Values().model_dump(by_alias=True)), *keys(PoolValues().model_dump(by_alias=True)), "name"}


def _kind(document: object) -> str:
    return "list" if isinstance(document, list) else "text" if isinstance(document, str) else type(document).__name__
