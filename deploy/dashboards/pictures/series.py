"""The series that a panel shows of a recording, named by their legends."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deploy.dashboards.pictures import theme
from deploy.dashboards.recorded import Recording

_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class Line:
    name: str
    labels: dict[str, str]
    times: list[float]
    values: list[float]
    color: str
    is_limit: bool = False
    """Drawn dashed, and not stacked on others."""


def lines(panel: dict[str, Any], uid: str, recording: Recording) -> list[Line]:
    """The panel's series in Grafana's order: by query, then by name. A series without any value is left out."""
    answers = {(answer["dashboard"], answer["panel"], answer["ref_id"]): answer["result"] for answer in recording["panels"]}
    found: list[Line] = []
    for target in panel["targets"]:
        result = answers.get((uid, panel["title"], target["refId"]), [])
        named = sorted(((_legend(target["legendFormat"], one["metric"]), one) for one in result), key=lambda pair: pair[0])
        for name, one in named:
            times = [at_s for at_s, _ in one["values"]]
            values = [float(value) for _, value in one["values"]]
            if all(map(math.isnan, values)):
                continue
            found.append(_styled(panel, Line(name, one["metric"], times, values, theme.PALETTE[len(found) % len(theme.PALETTE)])))
    return found


def _legend(pattern: str, labels: dict[str, str]) -> str:
    return _LABEL.sub(lambda label: labels.get(label.group(1), ""), pattern).strip()


def _styled(panel: dict[str, Any], line: Line) -> Line:
    for override in panel["fieldConfig"].get("overrides") or ():
        if _matcher(override["matcher"])(line.name):
            properties = {one["id"]: one["value"] for one in override["properties"]}
            color = theme.color(properties["color"]["fixedColor"])
            return Line(line.name, line.labels, line.times, line.values, color, "custom.lineStyle" in properties)
    return line


def _matcher(matcher: dict[str, str]) -> Callable[[str], bool]:
    if matcher["id"] == "byRegexp":
        pattern = re.compile(matcher["options"].strip("/"))
        return lambda name: bool(pattern.search(name))
    return lambda name: name == matcher["options"]
