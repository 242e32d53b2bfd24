"""Exit status 1 is a no-go and nothing else: faults, files that cannot be written and interrupts end otherwise."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import typer
from typer.testing import CliRunner

from loadtest.report.ending import with_a_verdict
from tests.loadtest.report_records import bad, good

ROOT = Path(__file__).resolve().parents[2]


def run(module: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (typer.Exit(0), 0),
        (typer.Exit(1), 1),
        (ZeroDivisionError(), 2),
        (BrokenPipeError(32, "Broken pipe"), 2),
        (SystemExit(1), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_only_a_verdict_ends_with_1(raised: BaseException, code: int) -> None:
    app = typer.Typer()

    @app.command()
    @with_a_verdict
    def command() -> None:
        raise raised

    assert CliRunner().invoke(app).exit_code == code


def test_a_fault_of_the_report_is_no_no_go(tmp_path: Path) -> None:
    made = bad().record()
    made["itl"]["counts"] = made["itl"]["counts"][:-1]  # A fault that no field alone shows.
    file = tmp_path / "run.json"
    file.write_bytes(orjson.dumps(made))
    done = run("loadtest.report", file)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "NO-GO" not in done.stdout


@pytest.mark.parametrize("module", ["loadtest.report", "loadtest.launch"])
def test_output_that_nobody_reads_is_no_no_go(module: str, tmp_path: Path) -> None:
    record = good().write(tmp_path)
    arguments = [str(record)] if module == "loadtest.report" else ["--out", str(record / "no folder")]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=writer, check=False)
    os.close(writer)
    assert done.returncode == 2


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = run("loadtest.report", good().write(tmp_path), "--out", blocked / "reports")
    assert done.returncode == 2
    assert f"The report cannot be written: {blocked / 'reports'}: Not a directory." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_the_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "run-junit.xml").mkdir()
    done = run("loadtest.report", good().write(tmp_path))
    assert done.returncode == 2
    assert f"The report cannot be written: {tmp_path / 'run-junit.xml'}: Is a directory." in done.stderr


def test_a_launch_whose_folder_cannot_be_written_ends_with_2(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = run("loadtest.launch", "--out", blocked / "reports")
    assert done.returncode == 2
    assert f"--out {blocked / 'reports'}: the folder cannot be written (Not a directory)." in done.stdout
    assert "Traceback" not in done.stderr
