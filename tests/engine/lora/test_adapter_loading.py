"""Adapters in a running engine: what the engine gets, and that a failed load leaves nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.engine.lora.adapter_loading import AdapterLoader
from service.engine.vllm.arguments import adapter_args
from service.errors import AdapterRefused
from tests.support.adapter_files import lora_tensors, write_adapter

MODULES = {"layers.0.q_proj": (8, 8)}


class Shelf:
    """An engine that only holds adapters, by ID. An adapter whose path ends in `bad` fails while it loads."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[str, int, str]] = {}

    async def add_lora(self, lora_request: Any, /) -> bool:
        _, number, path = lora_request
        self.held[number] = lora_request
        if path.endswith("bad"):
            raise ValueError("it has a feature that is not supported")
        return not path.endswith("ignored")

    async def remove_lora(self, lora_id: int, /) -> bool:
        return self.held.pop(lora_id, None) is not None


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def loader(shelf: Shelf) -> AdapterLoader:
    return AdapterLoader(shelf, lambda *request: request, lambda: MODULES, max_rank=8)


def adapter(folder: Path) -> str:
    return str(write_adapter(folder, lora_tensors(MODULES, rank=2), rank=2))


def test_it_is_loaded_and_unloaded_under_its_number(tmp_path: Path, shelf: Shelf) -> None:
    async def story() -> None:
        loading = loader(shelf)
        path = adapter(tmp_path / "a")
        sales, support = await loading.load("sales", path), await loading.load("support", path)
        assert (sales.id, support.id) == (1, 2)
        assert loading.request_of(support) == ("support", 2, path)
        await loading.unload(sales)
        assert list(shelf.held) == [2]

    asyncio.run(story())


def test_a_name_that_comes_again_is_another_to_the_engine(tmp_path: Path, shelf: Shelf) -> None:
    """vLLM's prefix cache identifies adapters by name and path. Entries of the first adapter must not be found."""

    async def story() -> None:
        loading = loader(shelf)
        path = adapter(tmp_path / "a")
        await loading.unload(await loading.load("sales", path))
        again = await loading.load("sales", path)
        assert again.name == "sales"
        assert loading.request_of(again) == ("sales@2", 2, path)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("bad", "vLLM cannot load it: it has a feature that is not supported"),
        ("ignored", "vLLM did not load it"),
    ],
)
def test_nothing_is_left_of_a_load_that_fails(tmp_path: Path, shelf: Shelf, folder: str, reason: str) -> None:
    with pytest.raises(AdapterRefused) as refused:
        asyncio.run(loader(shelf).load("sales", adapter(tmp_path / folder)))
    assert "'sales'" in str(refused.value) and reason in str(refused.value)
    assert shelf.held == {}


def test_one_that_does_not_fit_never_reaches_the_engine(tmp_path: Path, shelf: Shelf) -> None:
    path = write_adapter(tmp_path / "a", lora_tensors({"layers.0.q_proj": (8, 9)}, rank=2), rank=2)
    with pytest.raises(AdapterRefused, match="has shape"):
        asyncio.run(loader(shelf).load("sales", str(path)))
    assert shelf.held == {}


def test_the_engine_is_made_for_as_many_as_are_asked_for() -> None:
    assert adapter_args(0) == {}
    assert adapter_args(5) == {"enable_lora": True, "max_loras": 5, "max_cpu_loras": 5, "max_lora_rank": 64}
