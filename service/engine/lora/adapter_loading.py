"""LoRA adapters of one running engine: checked, numbered, loaded, and taken out again."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from service.domain import Adapter
from service.engine.lora.adapter_check import TENSOR_FILE, Modules, check_adapter
from service.errors import AdapterRefused

_CHUNK_BYTES = 2**24


class LoraEngine(Protocol):
    """The part of vLLM's AsyncLLM that knows adapters."""

    async def add_lora(self, lora_request: Any, /) -> bool: ...

    async def remove_lora(self, lora_id: int, /) -> bool: ...


class AdapterLoader:
    """`make_request(name, id, path)` is vLLM's LoRARequest; `base` reads the base model's shapes, once, when first needed."""

    def __init__(
        self, engine: LoraEngine, make_request: Callable[[str, int, str], Any], base: Callable[[], Modules], *, max_rank: int
    ) -> None:
        self._engine = engine
        self._make_request = make_request
        self._base = base
        self._max_rank = max_rank
        self._modules: Modules | None = None
        self._ids = itertools.count(1)
        self._requests: dict[int, Any] = {}
        self._names_used: set[str] = set()

    async def load(self, name: str, path: str) -> Adapter:
        """Raises `AdapterRefused`; the engine is then as it was."""
        folder = await asyncio.to_thread(self._check, name, path)
        adapter = Adapter(name, path, next(self._ids))
        # vLLM compares adapters, and marks cached prefixes, by name: one that was used before must not come again.
        unique_name = f"{name}@{adapter.id}" if name in self._names_used else name
        self._names_used.add(name)
        request = self._make_request(unique_name, adapter.id, str(folder))
        try:
            is_loaded = await self._engine.add_lora(request)
        except Exception as error:
            await self._remove(adapter)
            raise AdapterRefused(name, f"vLLM cannot load it: {error}") from None
        if not is_loaded:
            await self._remove(adapter)
            raise AdapterRefused(name, "vLLM did not load it")
        self._requests[adapter.id] = request
        return adapter

    async def unload(self, adapter: Adapter) -> None:
        """Call once no turn uses it."""
        del self._requests[adapter.id]
        await self._remove(adapter)

    def request_of(self, adapter: Adapter) -> Any:
        """What a turn with this adapter gives the engine."""
        return self._requests[adapter.id]

    async def _remove(self, adapter: Adapter) -> None:
        with contextlib.suppress(Exception):  # Not there, or the engine is dead: either way there is nothing left of it.
            await self._engine.remove_lora(adapter.id)

    def _check(self, name: str, path: str) -> Path:
        folder = Path(path).expanduser().resolve()
        check_adapter(name, folder, self._read_base, max_rank=self._max_rank)
        # The engine loads between two steps, while every turn waits: let it find the file in the page cache.
        with (folder / TENSOR_FILE).open("rb") as file:
            while file.read(_CHUNK_BYTES):
                pass
        return folder

    def _read_base(self) -> Modules:
        if self._modules is None:
            self._modules = self._base()
        return self._modules
