"""Recordings of Prometheus' answers, and the pictures drawn from them."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from deploy.dashboards.files import documents
from deploy.dashboards.names import CAPACITY, ENGINE, VOICE_SLO
from deploy.dashboards.pictures.sheet import NOTE, draw
from deploy.dashboards.pictures.units import written
from deploy.dashboards.queries import all_queries, panels
from deploy.dashboards.recorded import Recording, Series, record

BEGIN_S, STEP_S = 1_753_600_000.0, 5.0
BOUNDS = ("0.1", "0.3", "0.5", "+Inf")


def series(metric: dict[str, str], *values: float) -> Series:
    return {"metric": metric, "values": [(BEGIN_S + at * STEP_S, str(value)) for at, value in enumerate(values)]}


def answers() -> Iterator[tuple[str, list[Series]]]:
    """Two series for each query, with every label that it is grouped by. A histogram's buckets are cumulative."""
    for query in all_queries():
        grouping = re.findall(r" by \(([^)]*)\)", query.expr)
        labels = set(grouping[0].split(", ")) - {"le"} if grouping else set()
        if query.panel == "TTFT distribution":
            yield query.expr, [series({"le": le}, *(at + n for n in range(4))) for at, le in enumerate(BOUNDS)]
        else:
            yield query.expr, [series({label: f"{label}-{which}" for label in labels}, 1, 2, 2, 3) for which in ("a", "b")]


def recording() -> Recording:
    results = dict(answers())
    made_up: Any = [{**query._asdict(), "result": results[query.expr]} for query in all_queries()]
    return {"start": BEGIN_S, "end": BEGIN_S + 3 * STEP_S, "step": STEP_S, "panels": made_up}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


def document(uid: str) -> dict[str, Any]:
    return next(one for one in documents() if one["uid"] == uid)


@pytest.mark.parametrize("uid", [VOICE_SLO, ENGINE, CAPACITY])
def test_a_picture_shows_every_panel_and_says_how_it_was_made(uid: str) -> None:
    shown = texts(draw(document(uid), recording()))

    assert {panel["title"] for panel in panels(document(uid))} <= set(shown)
    assert NOTE in shown
    assert "No data" not in shown


def test_legends_units_states_and_cells_are_written_out() -> None:
    engine, voice = (draw(document(uid), recording()) for uid in (ENGINE, VOICE_SLO))
    for figure in (engine, voice):
        figure.canvas.draw()  # Creates the texts at the axes.

    assert {"running pod-a", "limit pod-b", "draining ", "uptime", "3 s", "version-a", "3 tokens/s"} <= set(texts(engine))
    assert {"300 %", "3 turns/s", "≤ 100 ms", "≤ 500 ms", "tenant-b", "p99"} <= set(texts(voice))


def test_a_panel_without_an_answer_says_so() -> None:
    answered = recording()
    for answer in answered["panels"]:
        if answer["panel"] == "GPU utilization":
            answer["result"] = []
        if answer["panel"] == "GPU power":
            answer["result"] = [series({"pod": "a", "gpu": "0"}, math.nan, math.nan)]

    assert texts(draw(document(CAPACITY), answered)).count("No data") == 2


def test_the_command_writes_a_png_for_each_dashboard(tmp_path: Path) -> None:
    recorded, pictures = tmp_path / "recorded.json", tmp_path / "pictures"
    recorded.write_text(json.dumps(recording()))

    command = [sys.executable, "-m", "deploy.dashboards.pictures", str(recorded), str(pictures)]
    subprocess.run(command, check=True, capture_output=True)

    assert {file.name for file in pictures.iterdir()} == {f"{uid}.png" for uid in (VOICE_SLO, ENGINE, CAPACITY)}
    for file in pictures.iterdir():
        picture = imread(file)
        assert picture.shape[1] > 1200
        assert picture.std() > 0.02, "only background"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.318, "s", "318 ms"),
        (90, "s", "1.5 min"),
        (0.0000042, "s", "4.2 µs"),
        (0.953, "percentunit", "95.3 %"),
        (81, "percent", "81 %"),
        (3 * 2**30, "bytes", "3 GiB"),
        (70112, "mbytes", "68.5 GiB"),
        (12345, "suffix: tokens/s", "12,345 tokens/s"),
        (0, "watt", "0 W"),
        (float("nan"), "percentunit", "no data"),
    ],
)
def test_values_are_written_in_their_unit(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text


@contextmanager
def prometheus(refused: str = "") -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A server that answers range queries of Prometheus' HTTP API and records them. It refuses one expression with 400."""
    asked: list[dict[str, list[str]]] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            asked.append(form)
            result = [series({"expr": form["query"][0]}, 1, 2)]
            self.send_response(400 if form["query"] == [refused] else 200)
            self.end_headers()
            self.wfile.write(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_query_is_asked_and_its_answer_kept_beside_its_panel() -> None:
    with prometheus() as (url, asked):
        recorded = record(url, BEGIN_S, BEGIN_S + 60, STEP_S)

    assert [form["query"][0] for form in asked] == [query.expr for query in all_queries()]
    assert {(form["start"][0], form["end"][0], form["step"][0]) for form in asked} == {("1753600000.0", "1753600060.0", "5.0")}
    for query, answer in zip(all_queries(), recorded["panels"], strict=True):
        assert (answer["dashboard"], answer["panel"], answer["ref_id"]) == (query.dashboard, query.panel, query.ref_id)
        assert answer["result"][0]["metric"] == {"expr": query.expr}


def test_a_query_that_prometheus_refuses_is_no_empty_answer() -> None:
    with prometheus(refused=all_queries()[-1].expr) as (url, _), pytest.raises(httpx.HTTPStatusError):
        record(url, BEGIN_S, BEGIN_S + 60, STEP_S)
