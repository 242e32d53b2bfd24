"""LoRA adapters on the real engine: two and the base model in one batch, a wrong one refused, one added while it serves."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.live.conftest import ENGINE_START_S
from tests.support.adapter_files import lora_tensors, write_adapter
from tests.support.process import ServiceProcess, service_process

RANK = 8
# SmolLM2-135M: hidden size 576, MLP 1536; the last layers, so that text stays text.
SHAPES = {f"model.layers.{layer}.mlp.down_proj": (576, 1536) for layer in range(20, 30)}
PROMPT = "Count from one to twenty, in words."
# Longer than a block of the prefix cache.
LONG_PROMPT = "Here is a story that goes on for a while. " * 20 + "How does it go on?"


@dataclass
class Setup:
    service: ServiceProcess
    config: Path
    folder: Path

    def serve(self, **adapters: Path) -> None:
        """Write the settings file anew."""
        self.config.write_text(
            yaml.safe_dump({"adapters": [{"name": name, "path": str(path)} for name, path in adapters.items()]})
        )

    def models(self) -> dict[str, str | None]:
        listed = self.service.get("/v1/models", headers={"x-api-key": self.service.key}).json()["data"]
        return {model["id"]: model["parent"] for model in listed}

    def ask(self, model: str, prompt: str = PROMPT) -> str:
        body = self.service.body(prompt, model=model, temperature=0, max_tokens=24, ignore_eos=True)
        response = self.service.post(body)
        assert response.status_code == 200, response.text
        assert response.json()["model"] == model
        return str(response.json()["choices"][0]["message"]["content"])


def adapter(folder: Path, *, seed: int, size: float = 1.0) -> Path:
    return write_adapter(folder, lora_tensors(SHAPES, rank=RANK, seed=seed, size=size), rank=RANK)


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("adapters")
    config = folder / "firstword.yaml"
    wrong = write_adapter(folder / "wrong", lora_tensors({"model.layers.0.mlp.down_proj": (512, 1536)}, rank=RANK), rank=RANK)
    dora = write_adapter(folder / "dora", lora_tensors(SHAPES, rank=RANK), rank=RANK, use_dora=True)
    good = {"sales": adapter(folder / "sales", seed=1), "support": adapter(folder / "support", seed=2)}
    paths = {"wrong": wrong, "dora": dora, **good}
    Setup.serve(Setup(None, config, folder), **paths)  # type: ignore[arg-type]  # no service yet
    settings = {"config": str(config), "model_aliases": json.dumps(["house-voice"]), "max_adapters": "4"}
    with service_process(folder / "service.log", within_s=ENGINE_START_S, **settings) as running:
        yield Setup(running, config, folder)


def test_models_lists_adapters_with_their_parent_and_aliases_without(setup: Setup) -> None:
    base = setup.service.model
    assert setup.models() == {base: None, "house-voice": None, "sales": base, "support": base}


def test_two_adapters_and_the_base_model_in_one_batch_answer_as_each_does_alone(setup: Setup) -> None:
    names = [setup.service.model, "sales", "support"]
    alone = {name: setup.ask(name) for name in names}
    assert len(set(alone.values())) == 3, "each must be heard"
    assert setup.ask("house-voice") == alone[setup.service.model]
    with ThreadPoolExecutor(len(names) * 2) as pool:
        answers = [pool.submit(setup.ask, name) for name in names * 2]
        in_engine = 0.0
        while not all(answer.done() for answer in answers):
            in_engine = max(in_engine, setup.service.metric("vllm:num_requests_running"))
    assert [answer.result() for answer in answers] == [alone[name] for name in names * 2]
    assert in_engine >= len(names)


def test_one_of_the_wrong_shape_is_refused_by_name(setup: Setup) -> None:
    response = setup.service.post(setup.service.body(model="wrong"))
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")
    said = "The adapter 'wrong' is refused: tensor base_model.model.model.layers.0.mlp.down_proj.lora_B.weight has shape "
    assert f"{said}[512, 8]; expected [576, 8]." in setup.service.output


def test_one_that_vllm_itself_refuses_is_refused_by_name(setup: Setup) -> None:
    assert setup.service.post(setup.service.body(model="dora")).status_code == 404
    assert "The adapter 'dora' is refused: vLLM cannot load it: " in setup.service.output
    assert "DoRA" in setup.service.output


def test_one_is_added_and_one_removed_by_editing_the_file(setup: Setup) -> None:
    setup.serve(sales=setup.folder / "sales", billing=adapter(setup.folder / "billing", seed=3))
    deadline = time.monotonic() + 20
    while not {"billing"} <= set(setup.models()) or "support" in setup.models():
        assert time.monotonic() < deadline, setup.service.output
        time.sleep(0.1)
    assert setup.ask("billing") not in {setup.ask("sales"), setup.ask(setup.service.model)}
    assert setup.service.post(setup.service.body(model="support")).status_code == 404


def test_a_name_that_comes_back_with_other_weights_is_heard_anew(setup: Setup) -> None:
    """Also where the words before it are in the prefix cache of the one that had the name."""
    first = setup.ask("sales", LONG_PROMPT)
    assert setup.ask("sales", LONG_PROMPT) == first
    setup.serve(sales=adapter(setup.folder / "sales-2", seed=4))
    deadline = time.monotonic() + 20
    while setup.ask("sales", LONG_PROMPT) == first:
        assert time.monotonic() < deadline, setup.service.output
        time.sleep(0.2)
