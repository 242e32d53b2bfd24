"""Every panel's and every rule's query, asked of a real Prometheus that scrapes the real service under load.

What other exporters would say is recorded exposition: no cluster and no GPU is here. With RECORD set to a file's name the load is
longer, and what the dashboards' queries give is kept there, for `make pictures`.
"""

import json
import math
import os
import statistics
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from deploy.dashboards.names import VLLM_METRICS
from deploy.dashboards.queries import all_queries
from deploy.dashboards.recorded import record
from service.telemetry.metrics import TTFT_BUCKETS_S
from service.tenants.key_file import add_key
from tests.deploy.rule_files import ALERTS, ALL, RECORDS, Rule
from tests.live.callers import Callers
from tests.live.conftest import ENGINE_START_S, SYSTEM_PROMPT
from tests.support.process import ServiceProcess, free_port, service_process
from tests.support.prometheus import Prometheus, Target, prometheus, served
from tests.support.promql import selectors
from tests.support.service_under_test import until

RECORDING = os.environ.get("RECORD")
LOAD_S = 420.0 if RECORDING else 60.0
SPEAKING = 10
TENANTS = 50
MOST_SERIES = 5000
PENDING_SINCE = "1.753686e+09"
EXPOSITION = Path(__file__).parent.parent / "deploy/exposition"


@dataclass
class Story:
    """What was done to the service, and the Prometheus that saw it."""

    service: ServiceProcess
    callers: Callers
    seen: Prometheus
    exposition: str
    began_s: float


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder, port = tmp_path_factory.mktemp("monitoring"), free_port()
    names = ["acme", "beta", *(f"tenant-{number}" for number in range(TENANTS - 3))]
    keys = {name: f"key-of-{name}" for name in names}
    key_file = folder / "keys.yaml"
    limited = add_key(key_file, "limited")
    key_file.write_text(yaml.safe_dump(yaml.safe_load(key_file.read_text()) | {"tenants": {"limited": {"requests_per_min": 3}}}))
    settings = {
        "api_keys": ",".join(f"{name}={key}" for name, key in keys.items()),
        "api_keys_file": str(key_file),
        "max_turns": "6",
        "ttft_budget_s": "1.0",
        "metrics_port": str(port),
        "cache_isolation": "off",
        "system_prompts": json.dumps([{"system": SYSTEM_PROMPT}]),
    }
    others = folder / "exposition"
    others.mkdir()
    for file in EXPOSITION.glob("*.prom"):  # The pod that is pending there was made four minutes ago.
        (others / file.name).write_text(file.read_text().replace(PENDING_SINCE, str(time.time() - 240)))
    with (
        service_process(folder / "service.log", within_s=ENGINE_START_S, key=keys["acme"], **settings) as service,
        served(others) as address,
    ):
        targets = [Target(f"127.0.0.1:{port}", "voice", "firstword-h100-6b7c8d9f4-abcde", "firstword", "h100")]
        exporters = {file.stem: f"{address}/{file.name}" for file in others.iterdir()}
        with prometheus(folder, targets, exporters) as seen:
            until(lambda: bool(seen.query("firstword_ready == 1")), within_s=30)
            time.sleep(3)  # The first scrape's zeros are in, and what comes is an increase.
            callers, began_s = Callers(service, [keys["acme"], keys["beta"]], limited), time.time()
            callers.call(LOAD_S, speaking=SPEAKING)
            time.sleep(5)  # Scraped, and by the rules too.
            exposition = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
            yield Story(service, callers, seen, exposition, began_s)


def test_the_load_was_of_every_kind(story: Story) -> None:
    assert {200, 400, 401, 429, 503} <= story.callers.statuses
    assert story.callers.barge_ins >= 1 and len(story.callers.ttfts_s) >= 20


@pytest.mark.parametrize(
    ("dashboard", "panel", "ref", "expression"), all_queries(), ids=lambda part: None if "(" in str(part) else str(part)
)
def test_every_panel_has_data(story: Story, dashboard: str, panel: str, ref: str, expression: str) -> None:
    values = [float(row["value"][1]) for row in story.seen.query(expression)]
    assert [value for value in values if not math.isnan(value)], f"{dashboard}: {panel} ({ref}) shows nothing: {expression}"


@pytest.mark.parametrize("rule", RECORDS.values(), ids=lambda rule: rule.name)
def test_every_recording_rule_gives_data(story: Story, rule: Rule) -> None:
    labels = ",".join(f'{name}="{value}"' for name, value in rule.document.get("labels", {}).items())
    assert story.seen.query(f"{rule.name}{{{labels}}}"), rule.expr


@pytest.mark.parametrize("rule", ALERTS.values(), ids=lambda rule: rule.name)
def test_every_series_that_an_alert_looks_at_exists(story: Story, rule: Rule) -> None:
    """An alert that does not fire gives nothing: what it would notice must be there all the same."""
    for selector in [str(each).split(" offset ")[0] for each in selectors(rule.expr)]:
        assert story.seen.query(selector), f"{rule.name} looks for what is not there: {selector}"


def test_prometheus_could_evaluate_every_rule(story: Story) -> None:
    rules = story.seen.rules()
    assert len(rules) == len(ALL)
    assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []
    assert {rule["health"] for rule in rules} == {"ok"}


@pytest.mark.parametrize("quantile", [0.5, 0.9])
def test_ttft_percentiles_are_those_that_the_callers_measured(story: Story, quantile: float) -> None:
    window_s = math.ceil(time.time() - story.began_s + 5)
    rows = story.seen.query(f"histogram_quantile({quantile}, sum by (le) (increase(firstword_ttft_seconds_bucket[{window_s}s])))")
    told_s = float(rows[0]["value"][1])
    measured_s = statistics.quantiles(story.callers.ttfts_s, n=100, method="inclusive")[round(quantile * 100) - 1]
    # A histogram knows no better than its buckets, and the caller's clock starts before the request is here.
    bounds = (0.0, *TTFT_BUCKETS_S, math.inf)
    place = bisect_left(bounds, measured_s)
    below, above = bounds[max(0, place - 2)], bounds[min(len(bounds) - 1, place + 1)]
    assert below <= told_s <= above, f"told {told_s:.3f} s, measured {measured_s:.3f} s"
    (count,) = story.seen.query("sum(firstword_ttft_seconds_count)")
    assert int(count["value"][1]) == len(story.callers.ttfts_s)


def test_the_relabelling_tells_release_and_pool(story: Story) -> None:
    (row,) = story.seen.query("firstword_build_info")
    assert {name: row["metric"][name] for name in ("job", "namespace", "release", "pool")} == {
        "job": "firstword",
        "namespace": "voice",
        "release": "firstword",
        "pool": "h100",
    }
    assert row["metric"]["engine"].startswith("vllm 0.32.0")
    assert len(row["metric"]["revision"]) == 12


def test_the_engine_has_every_metric_that_we_rely_on(story: Story) -> None:
    names = {line.split("{")[0].split(" ")[0] for line in story.exposition.splitlines() if not line.startswith("#")}
    assert set(VLLM_METRICS) <= names


def test_fifty_tenants_on_the_real_engine_are_within_the_bound_of_series(story: Story) -> None:
    series = [line for line in story.exposition.splitlines() if line and not line.startswith("#")]
    assert 3000 < len(series) <= MOST_SERIES
    assert not [line for line in series if "key-of-" in line]


def test_what_was_seen_can_be_kept(story: Story) -> None:
    ended_s = time.time()
    kept = record(story.seen.url, story.began_s if RECORDING else ended_s - 30, ended_s, 5)
    file = Path(RECORDING) if RECORDING else Path(os.devnull)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(kept))
