"""LoRA adapters while we serve: loaded at the start, and again as the settings file changes.

A bad one is refused by name and the rest go on serving; a file that cannot be read leaves all as it was. One that is gone
from the list leaves the catalogue at once, and the engine when its last turn has ended.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from service.domain import Adapter
from service.engine.model_registry import ModelRegistry
from service.engine.protocol import Engine
from service.errors import AdapterRefused, StartError
from service.lifecycle.file_watch import POLL_S, changes
from service.settings import AdapterSetting, read_adapters
from service.telemetry.telemetry import Telemetry

_log = structlog.get_logger("firstword.adapters")
_IDLE_POLL_S = 0.1


class Adapters:
    """The only one that loads and unloads; what is served stands in the catalogue."""

    def __init__(
        self, engine: Engine, model_registry: ModelRegistry, telemetry: Telemetry, configured: Sequence[AdapterSetting]
    ) -> None:
        self._engine = engine
        self._model_registry = model_registry
        self._telemetry = telemetry
        self._wanted = list(configured)
        self._held: set[Adapter] = set()
        """In the engine: served, or waiting for their last turn."""
        self._leaving: dict[Adapter, asyncio.Task[None]] = {}

    async def load_configured(self) -> None:
        """After the engine has started. A refused adapter is logged, counted, and left out."""
        await self._serve(self._wanted)

    async def watch(self, file: Path, *, poll_s: float = POLL_S) -> None:
        """Follow the list in the settings file, for ever."""
        async for is_first in changes(file, poll_s=poll_s):
            await self._reread(file, is_first=is_first)

    async def _reread(self, file: Path, *, is_first: bool) -> None:
        try:
            wanted = await asyncio.to_thread(read_adapters, file)
        except StartError as error:
            self._telemetry.metrics.adapter_loads.labels("file_unreadable").inc()
            _log.error("the settings file cannot be used; adapters stay as they are", reason=str(error))
            return
        if is_first and wanted == self._wanted:  # As it was read at the start.
            return
        self._wanted = wanted
        await self._serve(wanted)

    async def _serve(self, wanted: Sequence[AdapterSetting]) -> None:
        names = {setting.name for setting in wanted}
        for adapter in self._model_registry.adapters:
            if adapter.name not in names:
                self._model_registry.remove(adapter.name)
                self._let_go(adapter)
        for setting in wanted:
            current = next((adapter for adapter in self._model_registry.adapters if adapter.name == setting.name), None)
            if current is not None and current.path == setting.path:
                continue
            try:
                await self._load(setting, current)
            except AdapterRefused as error:
                self._telemetry.metrics.adapter_loads.labels("refused").inc()
                _log.error("adapter refused", adapter=setting.name, reason=str(error))

    async def _load(self, setting: AdapterSetting, current: Adapter | None) -> None:
        """Load, and take the place of `current`, which has the same name. Raises `AdapterRefused`."""
        if setting.name in self._model_registry.base_names:
            raise AdapterRefused(setting.name, "the model itself has this name")
        await self._make_room(setting.name, current)
        adapter = await self._engine.load_adapter(setting.name, setting.path)
        self._held.add(adapter)
        self._model_registry.add(adapter)
        if current is not None:
            self._let_go(current)
        self._telemetry.metrics.adapter_loads.labels("loaded").inc()
        _log.info("adapter loaded", adapter=adapter.name, path=adapter.path)

    async def _make_room(self, name: str, current: Adapter | None) -> None:
        """More than the engine holds would make it load from disk in the middle of a step. Raises `AdapterRefused`."""
        limit = self._engine.max_adapters
        if len(self._held) < limit:
            return
        if current is not None:  # No room for both: the name is unknown until the new one is there.
            self._model_registry.remove(name)
            self._let_go(current)
        while len(self._held) >= limit and self._leaving:
            await asyncio.wait(self._leaving.values(), return_when=asyncio.FIRST_COMPLETED)
        if len(self._held) >= limit:
            raise AdapterRefused(name, f"there is room for {limit} adapters (FIRSTWORD_MAX_ADAPTERS, at the next start)")

    def _let_go(self, adapter: Adapter) -> None:
        if adapter in self._held and adapter not in self._leaving:
            self._leaving[adapter] = asyncio.create_task(self._unload_when_idle(adapter))

    async def _unload_when_idle(self, adapter: Adapter) -> None:
        while self._model_registry.is_used(adapter):
            await asyncio.sleep(_IDLE_POLL_S)
        await self._engine.unload_adapter(adapter)
        self._held.remove(adapter)
        del self._leaving[adapter]
        _log.info("adapter unloaded", adapter=adapter.name, path=adapter.path)
