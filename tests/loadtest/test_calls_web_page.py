"""Several runs from one web page: each has a record of its own, and one that cannot begin says only why."""

import time
from pathlib import Path

import httpx

from tests.loadtest.locust_runs import web_page
from tests.loadtest.raw_endpoint import DONE, chunk, raw_endpoint
from tests.support.service_under_test import until


def test_later_runs_have_records_of_their_own_and_a_failed_start_repeats_no_table(tmp_path: Path) -> None:
    file = tmp_path / "web.json"
    with raw_endpoint((0.0, chunk({"content": "Yes."}) + DONE)) as endpoint, web_page(endpoint.url, file) as (process, page):
        form: dict[str, str | int] = {"user_count": 100, "spawn_rate": 5, "scenario": "smoke", "host": endpoint.url}
        for written in (file, tmp_path / "web-2.json"):
            assert httpx.post(f"{page}/swarm", data=form).json()["success"]
            time.sleep(1.5)
            assert httpx.post(f"{page}/stop").json()["success"]
            until(written.exists, within_s=20)
        httpx.post(f"{page}/swarm", data=form | {"pause_scale": -1})
        time.sleep(2)
        process.terminate()
        _, reported = process.communicate(timeout=20)
    assert {one.name for one in tmp_path.iterdir()} == {"web.json", "web-2.json"}
    assert "--pause-scale must be 0 or more, given -1." in reported
    assert reported.count("goodput ") == reported.count("record: ") == 2
