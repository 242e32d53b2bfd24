"""Loads LoRA adapters at the start, and follows the list in the settings file afterwards.

- An adapter that cannot be served is refused by name; the others are served.
- A settings file that cannot be read changes nothing.
- An adapter that is removed from the list leaves the model registry at once. It is unloaded when its last turn has ended.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

from service.domain import Adapter, PromptSettings
from service.engine.model_registry import ModelRegistry
from service.engine.protocol import Engine
from service.errors import AdapterRefused, StartError
from service.lifecycle.file_watch import POLL_S, changes
from service.settings import AdapterSetting, read_adapters, read_template
from service.telemetry.telemetry import Telemetry

_log = structlog.get_logger("firstword.adapters")
_IDLE_POLL_S = 0.1


class Adapters:
    """Loads and unloads adapters. No other code does. The model registry holds the adapters that are served."""

    def __init__(
        self, engine: Engine, model_registry: ModelRegistry, telemetry: Telemetry, configured: Sequence[AdapterSetting]
    ) -> None:
        self._engine = engine
        self._model_registry = model_registry
        self._telemetry = telemetry
        self._wanted = list(configured)
        self._held: set[Adapter] = set()
        """Adapters in the engine: those that are served, and removed ones that still have a turn."""
        self._leaving: dict[Adapter, asyncio.Task[None]] = {}

    async def load_configured(self) -> None:
        """Load the configured adapters, once the engine has started. A refused one is logged, counted and left out."""
        await self._serve(self._wanted)

    async def watch(self, file: Path, *, poll_s: float = POLL_S) -> None:
        """Follow the list in the settings file. Does not return."""
        async for is_first in changes(file, poll_s=poll_s):
            await self._reread(file, is_first=is_first)

    async def _reread(self, file: Path, *, is_first: bool) -> None:
        try:
            wanted = await asyncio.to_thread(read_adapters, file)
        except StartError as error:
            self._telemetry.metrics.adapter_loads.labels("file_unreadable").inc()
            _log.error("the settings file cannot be used; adapters stay as they are", reason=str(error))
            return
        if is_first and wanted == self._wanted:  # It has not changed since the start.
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
            try:
                prompts = await asyncio.to_thread(prompt_settings, setting)
                if current is None or (current.path, current.prompts) != (setting.path, prompts):
                    await self._load(setting, prompts, current)
            except AdapterRefused as error:
                self._telemetry.metrics.adapter_loads.labels("refused").inc()
                _log.error("adapter refused", adapter=setting.name, reason=str(error))

    async def _load(self, setting: AdapterSetting, prompts: PromptSettings, current: Adapter | None) -> None:
        """Load the adapter. It replaces `current`, which has the same name. Raises `AdapterRefused`."""
        if setting.name in self._model_registry.base_names:
            raise AdapterRefused(setting.name, "the model itself has this name; choose another one")
        await self._wait_until_one_fits(setting.name, current)
        adapter = await self._engine.load_adapter(setting.name, setting.path, prompts)
        self._held.add(adapter)
        self._model_registry.add(adapter)
        if current is not None:
            self._let_go(current)
        self._telemetry.metrics.adapter_loads.labels("loaded").inc()
        _log.info("adapter loaded", adapter=adapter.name, path=adapter.path)

    async def _wait_until_one_fits(self, name: str, current: Adapter | None) -> None:
        """Wait until the engine can take one more adapter. Raises `AdapterRefused` if none is about to be unloaded.

        With more adapters than it can hold, the engine would load one from disk in the middle of a step.
        """
        limit = self._engine.max_adapters
        if len(self._held) < limit:
            return
        if current is not None:  # Both do not fit, so the name is unknown until the new adapter is loaded.
            self._model_registry.remove(name)
            self._let_go(current)
        while len(self._held) >= limit and self._leaving:
            await asyncio.wait(self._leaving.values(), return_when=asyncio.FIRST_COMPLETED)
        if len(self._held) >= limit:
            raise AdapterRefused(name, f"{limit} are loaded, which is the maximum; raise FIRSTWORD_MAX_ADAPTERS and restart")

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


def prompt_settings(setting: AdapterSetting) -> PromptSettings:
    """Return the prompt settings of an adapter's own. Raises `AdapterRefused` if its template cannot be read."""
    try:
        template = read_template(setting.chat_template)
    except StartError as error:
        raise AdapterRefused(setting.name, str(error)) from None
    return PromptSettings(setting.thinking, setting.template_kwargs, template)
