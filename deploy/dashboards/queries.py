"""Every query of the dashboards as Prometheus gets it with all variables at All: for tests and for recordings."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from deploy.dashboards.files import documents

VARIABLES = ("namespace", "release", "pool", "tenant", "model")
_ANY = re.compile(rf"\$({'|'.join(VARIABLES)})\b")


class PanelQuery(NamedTuple):
    dashboard: str
    """Uid of the dashboard."""
    panel: str
    """Title of the panel, unique within its dashboard."""
    ref_id: str
    expr: str


def all_queries(rate_interval: str = "1m") -> list[PanelQuery]:
    return [
        PanelQuery(document["uid"], panel["title"], target["refId"], fill_in(target["expr"], rate_interval))
        for document in documents()
        for panel in panels(document)
        for target in panel["targets"]
    ]


def panels(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The panels of a dashboard without its row headings."""
    return (panel for panel in document["panels"] if panel["type"] != "row")


def fill_in(expr: str, rate_interval: str) -> str:
    """Replace the variables as Grafana does for All."""
    return _ANY.sub(".*", expr.replace("$__rate_interval", rate_interval))
