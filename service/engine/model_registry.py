"""The model registry: the names that `model` may have in a request.

They are the model's own name, its aliases, and the LoRA adapters, which can change while the service runs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from service.domain import Adapter, ModelCard
from service.errors import ModelNotFound


class ModelRegistry:
    """Maps each served name to the model or to an adapter."""

    def __init__(self, card: ModelCard, aliases: Iterable[str] = ()) -> None:
        self.card = card
        self._base_names = (card.name, *(alias for alias in aliases if alias != card.name))
        self._adapters: dict[str, Adapter] = {}
        self._turns: Counter[Adapter] = Counter()

    @property
    def base_names(self) -> Sequence[str]:
        """The model's own name, followed by its aliases."""
        return self._base_names

    @property
    def adapters(self) -> Sequence[Adapter]:
        return tuple(self._adapters.values())

    def add(self, adapter: Adapter) -> None:
        self._adapters[adapter.name] = adapter

    def remove(self, name: str) -> None:
        self._adapters.pop(name, None)

    def resolve(self, name: str) -> Adapter | None:
        """Return the adapter with this name, or None for the model itself. Raises `ModelNotFound` for an unknown name."""
        if name in self._base_names:
            return None
        adapter = self._adapters.get(name)
        if adapter is None:
            raise ModelNotFound(name)
        return adapter

    @contextmanager
    def using(self, adapter: Adapter | None) -> Iterator[None]:
        """Mark an adapter as used by a turn within this scope. It stays loaded, even if its name is removed meanwhile."""
        if adapter is None:
            yield
            return
        self._turns[adapter] += 1
        try:
            yield
        finally:
            self._turns[adapter] -= 1
            if not self._turns[adapter]:
                del self._turns[adapter]

    def is_used(self, adapter: Adapter) -> bool:
        """Return whether a turn uses this adapter now."""
        return adapter in self._turns
