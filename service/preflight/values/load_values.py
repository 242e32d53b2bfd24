"""Read the values files and merge them into pools, as Helm and the chart do. Errors name the path of the value."""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from service.preflight.finding import PreflightError
from service.preflight.kubernetes_types import Json, quantity
from service.preflight.values.chart_settings import SET_BY_CHART, ChartSettings
from service.preflight.values.chart_values import Values
from service.preflight.values.pool_values import Pool
from service.preflight.values.value_errors import known_keys, lines, refusal, removed_by_null, shown, without_nulls

_STDIN = Path("-")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Plan:
    """The release to check."""

    values: Values
    pools: tuple[Pool, ...]
    release: str
    namespace: str

    @property
    def fullname(self) -> str:
        """Prefix of the object names, as in the chart."""
        is_ours = self.release == "firstword" or self.release.endswith("-firstword")
        return self.release if is_ours else f"{self.release}-firstword"


def read_values(files: Iterable[Path]) -> tuple[Values, tuple[Pool, ...]]:
    """Merge the files over the chart's values, later files over earlier ones. Raises `PreflightError` with all errors."""
    merged = _defaults()
    for file in files:
        merged = _merge(merged, _load(file))
    merged.pop("global", None)  # Helm passes this key to a chart inside another chart.
    if missing := list(removed_by_null(_defaults(), merged, Values)):
        raise refusal(missing)
    merged = without_nulls(_defaults(), merged, Values)
    values = _validated(Values, merged)
    pools = tuple(_validated(Pool, _merge(merged["poolDefaults"], pool)) for pool in merged["pools"])
    if errors := [*_wrong_settings(values), *(line for pool in pools for line in _no_quantities(pool))]:
        raise refusal(errors)
    return values, pools


def _defaults() -> Json:
    return {**Values().model_dump(by_alias=True), "pools": [{"name": "default"}]}


def _load(file: Path) -> Json:
    try:
        text = sys.stdin.read() if file == _STDIN else file.read_text(encoding="utf-8")
        # `helm get values` without `-o yaml` prints this line before the values.
        document = yaml.safe_load(re.sub(r"\A(USER-SUPPLIED|COMPUTED) VALUES:[ \t]*(?=\r?\n|\Z)", "", text))
    except OSError as error:
        raise PreflightError(f"The values file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise PreflightError(f"The values file {file} must be text in UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise PreflightError(f"The values file {file} is not valid YAML{place}.") from None
    if not isinstance(document, dict | None):
        raise PreflightError(f"The values file {file} must be a map of values, such as `pools: […]`; it is a {_kind(document)}.")
    return document or {}


def _merge(below: Json, over: Json) -> Json:
    """Merge as Helm does: maps key by key, lists as a whole. A null removes the default."""
    result = dict(below)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _merge(old, value)
        elif value is None and key in result:
            del result[key]
        else:
            result[key] = value
    return result


def _validated(model: type[Model], document: Json) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise refusal(lines(error, known_keys())) from None


def _wrong_settings(values: Values) -> Iterator[str]:
    given = {"poolDefaults.settings": values.pool_defaults.settings}
    given |= {f"pools[{place}].settings": pool.settings for place, pool in enumerate(values.pools)}
    for where, settings in given.items():
        try:
            ChartSettings.model_validate(settings)
        except ValidationError as error:
            of_chart = sorted(SET_BY_CHART & settings.keys())
            yield from (f"{where}.{name}: the chart sets this from other values. Remove it." for name in of_chart)
            errors = lines(error, ChartSettings.model_fields, under=where)
            yield from (line for line in errors if not line.startswith(tuple(f"{where}.{name}: " for name in of_chart)))


def _no_quantities(pool: Pool) -> Iterator[str]:
    for kind, given in (("requests", pool.resources.requests), ("limits", pool.resources.limits)):
        for name, value in given.items():
            try:
                quantity(value)
            except (ValueError, ArithmeticError):
                path = f'pools, "{pool.name}": resources.{kind}.{name}'
                yield f"{path}: {shown(value)} is not a quantity. Write it as 500m, 4 or 24Gi."


def _kind(document: object) -> str:
    return "list" if isinstance(document, list) else "string" if isinstance(document, str) else type(document).__name__
