"""Colors close to those of Grafana's dark theme."""

PAGE = "#111217"
PANEL = "#181b1f"
EDGE = "#2c3235"
TEXT = "#ccccdc"
FAINT = "#8e8e99"

PALETTE = (
    "#73bf69",
    "#f2cc0c",
    "#8ab8ff",
    "#ff780a",
    "#f2495c",
    "#5794f2",
    "#b877d9",
    "#6ed0e0",
    "#e0b400",
    "#96d98d",
    "#ca95e5",
    "#ffa6b0",
)
"""Colors of series without their own color, in the order of the series."""

_NAMED = {
    "green": "#73bf69",
    "orange": "#ff9830",
    "red": "#f2495c",
    "blue": "#5794f2",
    "yellow": "#fade2a",
    "purple": "#b877d9",
    "dark-red": "#c4162a",
}


def color(name: str) -> str:
    """The color of one of Grafana's color names."""
    return _NAMED[name]
