"""Files that are not Python name modules of ours: each module exists."""

import importlib.util
import re
import subprocess

import pytest

from tests.image.test_locks import REPO

NAMED = re.compile(r"(?:from|-m|import) ((?:service|loadtest|deploy)(?:\.\w+)+)")


def named_modules() -> list[tuple[str, str]]:
    command = ["git", "ls-files", "Dockerfile*", "Makefile", ".ci", "deploy/helm"]
    files = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True).stdout.split()
    texts = {file: (REPO / file).read_text(errors="ignore") for file in files}
    return sorted({(file, module) for file, text in texts.items() for module in NAMED.findall(text)})


@pytest.mark.parametrize(("file", "module"), named_modules())
def test_the_module_that_a_file_names_exists(file: str, module: str) -> None:
    assert importlib.util.find_spec(module) is not None, f"{file} names {module}"


def test_some_modules_are_named() -> None:
    assert ("Dockerfile.gpu", "service.engine.models.embedded") in named_modules()
