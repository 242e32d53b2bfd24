"""The files that `python -m deploy.chart` writes are current, complete and accepted by Helm."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.chart.files import stale, write
from deploy.chart.tree import Node, tree
from service import __version__
from service.preflight.values.chart_settings import SET_BY_CHART
from service.preflight.values.chart_values import Values
from service.settings import Settings
from tests.chart.rendering import CHART, FOLDER, SCENARIOS, Json, read, scenario, values_of

WANTED = {"minimal", "cpu", "one-gpu", "two-pools", "canary", "multi-node", "airgapped", "kitchen-sink"}


def objects(schema: Json) -> list[tuple[str, Json]]:
    """Return every part of a schema that has properties, with its path."""
    found: list[tuple[str, Json]] = [("", schema)] if "properties" in schema else []
    for key, value in schema.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                found += [(f"{key}.{path}", inner) for path, inner in objects(each)]
    return found


def leaves(nodes: tuple[Node, ...]) -> list[Node]:
    return [leaf for node in nodes for leaf in ([node] if not node.nodes else leaves(node.nodes)) + leaves(node.items)]


def check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.chart", "--check", "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_committed_files_are_what_the_code_makes() -> None:
    assert stale() == []


def test_the_check_names_what_is_stale_and_writing_mends_it(tmp_path: Path) -> None:
    write(tmp_path)
    changed = tmp_path / "values.yaml"
    changed.write_text(changed.read_text().replace("replicas: 1", "replicas: 2"))

    result = check(tmp_path)

    assert result.returncode == 1
    assert str(changed) in result.stderr
    assert "README.md" not in result.stderr
    assert write(tmp_path) == [changed]
    assert stale(tmp_path) == []


def test_values_yaml_is_what_preflight_takes_for_the_defaults() -> None:
    """Helm reads the same values from it."""
    defaults = yaml.safe_load((FOLDER / "values.yaml").read_text())
    assert read(defaults) == Values()
    assert CHART.values == json.loads(json.dumps(defaults))
    assert defaults["pools"] == [{"name": "default"}]


def test_every_value_is_explained() -> None:
    assert [node.key for node in leaves(tree()) if len(node.description) < 3] == []
    schema = json.loads((FOLDER / "values.schema.json").read_text())
    without = [
        f"{path}{name}" for path, each in objects(schema) if "SystemPrompt" not in path
        for name, of in each["properties"].items() if "description" not in of
    ]  # fmt: skip
    assert without == []


def test_the_schema_refuses_unknown_keys_everywhere() -> None:
    schema = json.loads((FOLDER / "values.schema.json").read_text())
    assert len(objects(schema)) > 20
    assert [path for path, each in objects(schema) if each.get("additionalProperties") is not False] == []


def test_settings_are_those_of_the_service_but_the_charts_own() -> None:
    schema = json.loads((FOLDER / "values.schema.json").read_text())
    assert set(schema["$defs"]["Settings"]["properties"]) == set(Settings.model_fields) - SET_BY_CHART
    assert set(Settings.model_fields) >= SET_BY_CHART


def test_the_readme_lists_every_value() -> None:
    text = (FOLDER / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == len(leaves(tree()))
    for path in ("pools[].name", "poolDefaults.gpu.count", "poolDefaults.adapters[].repo", "gateway.splits[].shares[].weight"):
        assert any(row.startswith(f"| `{path}` |") for row in rows), path
    assert {row.replace("\\|", "").count("|") for row in rows} == {5}


def test_the_chart_and_the_service_have_one_version() -> None:
    """Image tags use it."""
    assert CHART.metadata["appVersion"] == CHART.version == __version__


def test_all_scenarios_are_there() -> None:
    assert set(SCENARIOS) == WANTED


@pytest.mark.parametrize("name", SCENARIOS)
def test_preflight_takes_what_helm_takes(name: str) -> None:
    read(values_of(name))
    assert scenario(name).objects
