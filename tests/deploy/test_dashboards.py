"""The dashboard files that Grafana reads: they are up to date, complete, and no panels overlap."""

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from deploy.dashboards.files import FOLDER, documents, render, stale, write
from deploy.dashboards.names import AVAILABILITY_OBJECTIVE, BURNS, CAPACITY, ENGINE, OBJECTIVE, TAG, VOICE_SLO
from deploy.dashboards.queries import panels

Json = dict[str, Any]
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
each_dashboard = pytest.mark.parametrize("document", documents(), ids=lambda document: document["uid"])


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.dashboards", "--check", "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def labels_to_name(expr: str) -> set[str]:
    """The labels that a legend must name: those that the expression is grouped by. A pod's name implies its pool."""
    grouping = re.search(r" by \(([^)]*)\)", expr)
    labels = set(grouping.group(1).split(", ")) if grouping else set()
    if expr.startswith("histogram_quantile"):
        labels.discard("le")
    return labels - {"pool", "Hostname"} if "pod" in labels else labels


def labels_named(legend: str) -> set[str]:
    return set(re.findall(r"{{(\w+)}}", legend))


def test_the_committed_files_are_what_the_code_makes() -> None:
    assert stale() == []


def test_the_three_have_their_fixed_uids() -> None:
    assert {file.name for file in FOLDER.iterdir()} == {f"{uid}.json" for uid in (VOICE_SLO, ENGINE, CAPACITY)}
    assert [document["uid"] for document in documents()] == [VOICE_SLO, ENGINE, CAPACITY]


def test_the_check_names_what_is_stale_and_writing_mends_it(tmp_path: Path) -> None:
    write(tmp_path)
    changed, left_over = tmp_path / f"{ENGINE}.json", tmp_path / "of-an-older-version.json"
    changed.write_text(changed.read_text().replace("Preemptions", "preemptions"))
    left_over.write_text("{}\n")

    result = check(tmp_path)

    assert result.returncode == 1
    assert str(changed) in result.stderr
    assert str(left_over) in result.stderr
    assert f"{VOICE_SLO}.json" not in result.stderr
    assert write(tmp_path) == [changed, left_over]
    assert check(tmp_path).returncode == 0


def test_the_same_code_makes_the_same_files() -> None:
    assert render() == render()


@each_dashboard
def test_no_panel_lies_on_another_or_beyond_the_grid(document: Json) -> None:
    grids = [panel["gridPos"] for panel in document["panels"]]
    for grid in grids:
        assert grid["x"] + grid["w"] <= 24, grid
    for one, other in combinations(grids, 2):
        is_beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        is_above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert is_beside or is_above, (one, other)


@each_dashboard
def test_no_place_is_left_empty(document: Json) -> None:
    filled = sum(panel["gridPos"]["w"] * panel["gridPos"]["h"] for panel in document["panels"])
    assert filled == 24 * max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in document["panels"])


@each_dashboard
def test_each_panel_has_a_unit_and_says_what_to_do(document: Json) -> None:
    for panel in panels(document):
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert len(panel["description"].split()) >= 8, panel["title"]
        assert panel["description"].endswith("."), panel["title"]


@each_dashboard
def test_titles_and_ids_tell_panels_apart(document: Json) -> None:
    titles = [panel["title"] for panel in panels(document)]
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(titles)) == len(titles)
    assert len(set(ids)) == len(ids)


@each_dashboard
def test_every_query_asks_the_datasource_that_is_chosen(document: Json) -> None:
    for panel in panels(document):
        assert panel["datasource"] == DATASOURCE
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == DATASOURCE, panel["title"]


@each_dashboard
def test_several_series_in_a_panel_are_told_apart_by_their_legends(document: Json) -> None:
    for panel in panels(document):
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert all(legends), panel["title"]
        assert len(set(legends)) == len(legends), panel["title"]
        for target in panel["targets"]:
            unnamed = labels_to_name(target["expr"]) - labels_named(target["legendFormat"])
            assert panel["type"] == "table" or not unnamed, panel["title"]


@each_dashboard
def test_the_variables_are_there_and_used(document: Json) -> None:
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    expected = ["datasource", "namespace", "release", "pool", "model"]
    if document["uid"] == VOICE_SLO:
        expected.insert(4, "tenant")
    assert list(variables) == expected
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    asked = " ".join(target["expr"] for panel in panels(document) for target in panel["targets"])
    for name, variable in list(variables.items())[1:]:
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".*")
        assert variable["query"].startswith("label_values(firstword_")
        assert variable["datasource"] == DATASOURCE
        assert f"${name}" in asked, name


@each_dashboard
def test_each_dashboard_links_to_the_others(document: Json) -> None:
    assert document["tags"] == [TAG]
    (link,) = document["links"]
    assert (link["type"], link["tags"]) == ("dashboards", [TAG])
    assert (link["includeVars"], link["keepTime"]) == (True, True)


def test_objectives_and_burn_rates_are_those_of_the_alerts() -> None:
    rules = " ".join(file.read_text() for file in (FOLDER.parent / "rules").glob("*.yaml"))
    for burn in BURNS:
        assert f" {burn} * (1 - {OBJECTIVE})" in rules
    assert f"* (1 - {AVAILABILITY_OBJECTIVE})" in rules


@each_dashboard
def test_grafana_10_need_not_be_newer(document: Json) -> None:
    """Grafana 10 migrates older schemas up to its own, 38. It does not know newer ones."""
    assert document["schemaVersion"] <= 38
