"""The checks run in a small image, such as the one of `helm test`: without a model, a web server or a terminal."""

import json
import subprocess
import sys

import pytest

from service.check.checks.all_checks import CHECKS
from tests.check.good_server import KEY, GoodHandler, running
from tests.support.process import environment

ABSENT = ("torch", "vllm", "transformers", "fastapi", "starlette", "uvicorn", "uvloop")
PROGRAM = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ImportError(f"{{name}} is not installed")

sys.meta_path.insert(0, Absent())
from service.cli.main import main
main()
"""


def firstword(*arguments: str, key: str | None = None) -> "subprocess.CompletedProcess[str]":
    env = environment(**({"api_key": key} if key else {}))
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


def test_help_needs_neither_model_nor_web_server() -> None:
    result = firstword("check", "--help")
    assert result.returncode == 0, result.stderr
    assert "--key-file" in result.stdout


@pytest.mark.parametrize("is_variable", [True, False], ids=["FIRSTWORD_API_KEY", "--key"])
def test_a_run_needs_neither_and_is_plain_where_there_is_no_terminal(is_variable: bool) -> None:
    with running(GoodHandler) as url:
        result = firstword("check", url, key=KEY) if is_variable else firstword("check", url, "--key", KEY)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(CHECKS)} passed" in result.stdout
    shown = result.stdout + result.stderr
    assert "\x1b" not in shown and "\r" not in shown
    assert KEY not in shown


def test_the_report_needs_neither() -> None:
    with running(GoodHandler) as url:
        result = firstword("check", url, "--json", "-", key=KEY)
    assert json.loads(result.stdout)["verdict"] == "pass"


def test_the_service_itself_does_need_them() -> None:
    result = firstword("serve")
    assert result.returncode != 0
    assert "is not installed" in result.stderr
