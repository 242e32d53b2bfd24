"""`firstword preflight`, run as a command."""

import json
import subprocess
from pathlib import Path
from typing import Any

import kmock
import pytest
import yaml

from service.preflight.report import Report
from tests.preflight.looking import api, kubeconfig
from tests.preflight.right_cluster import HUB_TOKEN, KINDS, PLAIN_KEY, Json, pool, right, values
from tests.support.process import FIRSTWORD, environment

Result = subprocess.CompletedProcess[str]


class Preflight:
    """Runs the command in its own folder, with a kubeconfig."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, url: str, given: Json | None, *arguments: str, stdin: str = "") -> Result:
        command = [FIRSTWORD, "preflight", "--kubeconfig", str(kubeconfig(url, self.folder)), *arguments]
        if given is not None:
            (self.folder / "values.yaml").write_text(yaml.safe_dump(given))
            command += ["-f", str(self.folder / "values.yaml")]
        return subprocess.run(command, env=environment(), input=stdin, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def preflight(tmp_path: Path) -> Preflight:
    return Preflight(tmp_path)


def assert_refused(result: Result, *words: str) -> None:
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in ("firstword: ", *words):
        assert word in result.stderr


def test_all_is_well(preflight: Preflight) -> None:
    with api(right()) as url:
        result = preflight(url, values())
    assert result.returncode == 0, result.stdout + result.stderr
    for words in ("Cluster test, namespace calls", "Cluster and namespace", "Pool default", "0 warned, 0 failed", "PASS"):
        assert words in result.stdout
    assert "\x1b" not in result.stdout + result.stderr
    for secret in (PLAIN_KEY, HUB_TOKEN, "a-token"):
        assert secret not in result.stdout + result.stderr


def test_a_failure_is_status_1_with_what_to_change(preflight: Preflight) -> None:
    with api(right()) as url:
        result = preflight(url, pool(gpu={"product": "NVIDIA-L4"}))
    assert result.returncode == 1
    assert "nvidia.com/gpu.product=NVIDIA-L4" in result.stdout
    assert "-> Set gpu.product" in result.stdout and "NVIDIA-H100-80GB-HBM3 (2 nodes)" in result.stdout
    assert "FAIL" in result.stdout


def test_a_warning_is_status_0(preflight: Preflight) -> None:
    with api(right()) as url:
        result = preflight(url, pool(replicas=1, rollout={"spareGpus": False}))
    assert result.returncode == 0
    assert "42 min" in result.stdout


def test_json_to_stdout_and_to_a_file(preflight: Preflight) -> None:
    file = preflight.folder / "report.json"
    with api(right()) as url:
        printed = preflight(url, values(), "--json", "-")
        written = preflight(url, values(), "--json", str(file))
    assert (printed.returncode, written.returncode) == (0, 0)
    report = Report.model_validate_json(printed.stdout)
    assert (report.verdict, report.counts.failed, report.release) == ("pass", 0, "firstword")
    assert "Pool default" in printed.stderr
    assert [each.check for each in Report.model_validate_json(file.read_text()).findings] == [
        each.check for each in report.findings
    ]
    assert "Pool default" in written.stdout


def test_values_from_stdin_and_over_one_another(preflight: Preflight) -> None:
    with api(right()) as url:
        over = preflight(url, values(), "-f", "-", "--json", "-", stdin="poolDefaults: {replicas: 99}")
    findings = json.loads(over.stdout)["findings"]
    # The command names the file of `values` last, so its replicas win.
    assert next(each for each in findings if each["check"] == "pool.capacity")["seen"].startswith("2 pods")


def test_namespace_and_release(preflight: Preflight) -> None:
    with api(right()) as url:
        result = preflight(url, values(), "-n", "elsewhere", "--release", "voice", "--json", "-")
    document = json.loads(result.stdout)
    assert (document["namespace"], document["release"]) == ("elsewhere", "voice")
    assert next(each for each in document["findings"] if each["check"] == "namespace.exists")["outcome"] == "fail"
    assert result.returncode == 1


def test_without_values_the_charts_own_are_looked_at(preflight: Preflight) -> None:
    with api(right()) as url:
        result = preflight(url, None)
    assert result.returncode == 1
    assert "keys.existingSecret" in result.stdout


def test_wrong_use_is_status_2(preflight: Preflight) -> None:
    nowhere = "http://127.0.0.1:9"
    assert_refused(preflight(nowhere, values()), "The cluster test", "cannot be reached")
    assert_refused(preflight(nowhere, {"poolDefaults": {"replicas": -1}}), "poolDefaults.replicas: -1 ")
    assert_refused(preflight(nowhere, None, "-f", "none.yaml"), "The values file none.yaml cannot be read")
    assert_refused(preflight(nowhere, None, "--context", "prod"), "no context prod", "test")
    assert_refused(preflight(nowhere, None, "--json", "/no/such/folder/x"), "cannot be written: there is no such folder")


def test_a_cluster_that_shows_nothing_is_status_2(preflight: Preflight) -> None:
    def blind(server: Any) -> None:
        for kind in KINDS:
            server[kmock.resource(kind)] << 403

    with api(right(), setup=blind) as url:
        assert_refused(preflight(url, values()), "the cluster test", "list on nodes and pods")


def test_what_helm_prints_of_a_release(preflight: Preflight) -> None:
    with api(right()) as url:
        result = preflight(url, None, "-f", "-", stdin=f"USER-SUPPLIED VALUES:\n{yaml.safe_dump(values())}")
    assert result.returncode == 0, result.stdout + result.stderr
