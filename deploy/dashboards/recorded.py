"""Record Prometheus' answers to every query of the dashboards. The pictures are drawn from this file.

{"start": 1753600000.0, "end": 1753600600.0, "step": 5.0,                        unix seconds, seconds
 "panels": [{"dashboard": "firstword-engine", "panel": "Tokens per second", "ref_id": "A", "expr": "sum by (pool) (rate(...",
             "result": [{"metric": {"pool": "l4"}, "values": [[1753600000.0, "12.5"], ...]}]}]}

`result` is the matrix of Prometheus' HTTP API (`query_range`). Its values are text.
"""

from typing import TypedDict

import httpx

from deploy.dashboards.queries import all_queries


class Series(TypedDict):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class PanelResult(TypedDict):
    dashboard: str
    panel: str
    ref_id: str
    expr: str
    result: list[Series]


class Recording(TypedDict):
    start: float
    end: float
    step: float
    panels: list[PanelResult]


def record(prometheus_url: str, start: float, end: float, step: float, rate_interval: str = "1m") -> Recording:
    """Send every query of the dashboards to Prometheus. Raises `httpx.HTTPError`, also if Prometheus refuses a query."""
    answers: list[PanelResult] = []
    with httpx.Client(base_url=prometheus_url, timeout=30) as client:
        for query in all_queries(rate_interval):
            when = {"start": start, "end": end, "step": step}
            answer = client.post("/api/v1/query_range", data={"query": query.expr, **when})
            answer.raise_for_status()
            answers.append({**query._asdict(), "result": answer.json()["data"]["result"]})  # type: ignore[typeddict-item]
    return {"start": start, "end": end, "step": step, "panels": answers}
