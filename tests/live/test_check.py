"""The checklist against the real service, as its user runs it."""

import json
import subprocess

from service.check.checks.all_checks import CHECKS
from tests.support.process import FIRSTWORD, ServiceProcess, environment


def test_the_real_service_passes_its_checklist(service: ServiceProcess) -> None:
    # This engine may share its processors with anything: its speed is nobody's verdict.
    command = [FIRSTWORD, "check", f"{service.url}/v1", "--json", "-", "--ttft-budget-s", "30", "--timeout-s", "120"]
    env = environment(api_key=service.key)
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    not_passed = {each["id"]: each["seen"] for each in report["checks"] if each["outcome"] != "pass"}
    assert not_passed == {}
    assert len(report["checks"]) == len(CHECKS)
    assert report["hand_over"]["url"] == f"{service.url}/v1/chat/completions"
    assert report["hand_over"]["model"] == service.model
    assert service.key not in result.stdout + result.stderr
