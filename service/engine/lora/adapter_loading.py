"""Checks, numbers, loads and unloads the LoRA adapters of one running engine."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from service.domain import NO_PROMPT_SETTINGS, Adapter, PromptSettings, TemplateTraits
from service.engine.lora.adapter_check import TENSOR_FILE, Modules, check_adapter
from service.errors import AdapterRefused

_CHUNK_BYTES = 2**24


class LoraEngine(Protocol):
    """The part of vLLM's AsyncLLM that loads and removes adapters."""

    async def add_lora(self, lora_request: Any, /) -> bool: ...

    async def remove_lora(self, lora_id: int, /) -> bool: ...


class AdapterLoader:
    """Loads and unloads the adapters of one engine.

    `make_request(name, id, path)` is vLLM's LoRARequest. `base` reads the base model's shapes; it is called once, when needed.
    """

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

    async def load(
        self, name: str, path: str, prompts: PromptSettings = NO_PROMPT_SETTINGS, traits: TemplateTraits | None = None
    ) -> Adapter:
        """Check and load an adapter. Raises `AdapterRefused`; the engine is then unchanged."""
        folder = await asyncio.to_thread(self._check, name, path)
        adapter = Adapter(name, path, next(self._ids), prompts, traits)
        # vLLM compares adapters, and marks cached prefixes, by name. So a name that was used before must not be used again.
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
        """Free an adapter's memory. Call this only when no turn uses the adapter."""
        del self._requests[adapter.id]
        await self._remove(adapter)

    def request_of(self, adapter: Adapter) -> Any:
        """Return vLLM's LoRARequest for a turn with this adapter."""
        return self._requests[adapter.id]

    async def _remove(self, adapter: Adapter) -> None:
        with contextlib.suppress(Exception):  # The adapter is not loaded, or the engine is dead. Then there is nothing to remove.
            await self._engine.remove_lora(adapter.id)

    def _check(self, name: str, path: str) -> Path:
        folder = Path(path).expanduser().resolve()
        check_adapter(name, folder, self._read_base, max_rank=self._max_rank)
        # The engine loads between two steps, and every turn waits meanwhile. Reading the file now puts it into the page cache.
        with (folder / TENSOR_FILE).open("rb") as file:
            while file.read(_CHUNK_BYTES):
                pass
        return folder

    def _read_base(self) -> Modules:
        if self._modules is None:
            self._modules = self._base()
        return self._modules
