"""The report files of `firstword check`: they are UTF-8, and a file that cannot be written gets one line."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.check.good_server import KEY, MODEL, GoodHandler, running
from tests.check.test_command import assert_one_line, check
from tests.support.process import FIRSTWORD, environment


@pytest.mark.parametrize("option", ["--json", "--junit"])
def test_a_file_that_cannot_be_written_gets_one_line(option: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with running(GoodHandler) as url:
        for file, why in (
            (tmp_path / "file" / "x", "folder"),
            (tmp_path / ("x" * 300), "File name too long"),
        ):
            assert_one_line(check(url, option, str(file)), f"{file} cannot be written", why)
        # This fault shows only at the end. Everything else has been printed by then.
        late = check(url, option, "/dev/full")
    assert late.returncode == 2
    assert "To hand over to the platform" in late.stdout
    last = late.stderr.splitlines()[-1]
    assert "/dev/full cannot be written" in last
    assert "No space left on device" in last


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_the_user_may_not_write_is_known_before_the_checks(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with running(GoodHandler) as url:
        result = check(url, "--json", str(tmp_path / "x.json"))
    assert_one_line(result, "cannot be written: Permission denied")
    assert "[1/" not in result.stderr


def test_reports_are_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    name = "kölsch-1"

    class Local(GoodHandler):
        def do_GET(self) -> None:
            self.send_json(200, {"data": [{"id": name}]})

        def take(self, raw: bytes) -> None:
            super().take(raw.replace(json.dumps(name).encode(), json.dumps(MODEL).encode()))

    file, junit = tmp_path / "report.json", tmp_path / "report.xml"
    latin = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    with running(Local) as url:
        command = [FIRSTWORD, "check", url, "--junit", str(junit), "--json"]
        env = environment(api_key=KEY) | latin
        written = subprocess.run([*command, str(file)], env=env, capture_output=True, timeout=120, check=False)
        printed = subprocess.run([*command, "-"], env=env, capture_output=True, timeout=120, check=False)
    assert (written.returncode, printed.returncode) == (0, 0), written.stderr + printed.stderr
    assert json.loads(file.read_bytes().decode())["hand_over"]["model"] == name
    assert json.loads(printed.stdout.decode())["hand_over"]["model"] == name
    assert name in junit.read_bytes().decode()
