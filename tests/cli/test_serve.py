"""Settings that `firstword serve` passes to vLLM's engine."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.cli import serve
from service.settings import Settings


@pytest.mark.parametrize("model_sampling", [True, False])
def test_the_setting_for_the_models_sampling_reaches_the_engine(
    model_sampling: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}
    module = SimpleNamespace(VllmEngine=lambda *_, **keywords: given.update(keywords))
    monkeypatch.setitem(sys.modules, "service.engine.vllm.engine", module)
    serve._engine(Settings(model=str(tmp_path), model_sampling=model_sampling), None)
    assert given["model_sampling"] is model_sampling


def test_the_models_sampling_is_used_unless_a_setting_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().model_sampling is True
    monkeypatch.setenv("FIRSTWORD_MODEL_SAMPLING", "false")
    assert Settings().model_sampling is False
