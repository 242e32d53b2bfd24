"""Format values as Grafana does, in the units that the dashboards use."""

import math

_SECONDS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
_BYTES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def written(value: float, unit: str) -> str:  # noqa: PLR0911  # a table of units reads best as one
    if math.isnan(value):
        return "no data"
    if unit.startswith("suffix:"):
        return f"{_short(value)}{unit.removeprefix('suffix:')}"
    match unit:
        case "s":
            return _scaled(value, _SECONDS)
        case "bytes":
            return _scaled(value, _BYTES)
        case "mbytes":
            return _scaled(value * 2**20, _BYTES)
        case "percentunit":
            return f"{_short(100 * value)} %"
        case "percent":
            return f"{_short(value)} %"
        case "watt":
            return f"{_short(value)} W"
        case "none":
            return _short(value)
    raise ValueError(f"No format is defined for the unit {unit!r}: add one to deploy/dashboards/pictures/units.py.")


def _scaled(value: float, scale: tuple[tuple[float, str], ...]) -> str:
    for size, name in scale:
        if abs(value) >= size:
            return f"{_short(value / size)} {name}"
    return "0"


def _short(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return "0" if abs(value) < 1e-9 else f"{value:.3g}"
