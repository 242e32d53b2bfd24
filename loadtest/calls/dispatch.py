"""Replaces Locust's dispatcher: instead of starting users, it orders calls."""

from collections.abc import Callable, Iterable

from locust import User
from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

Order = Callable[[int, float, Iterable[WorkerNode]], None]
"""Arguments: cap on calls at once, calls per second, the processes that place calls."""


class Dispatcher(UsersDispatcher):
    """Passes Locust's `-u` and `-r` on as an order. It starts no users: the processes that place calls start one per call."""

    def __init__(self, order: Order, worker_nodes: list[WorkerNode], user_classes: list[type[User]]) -> None:
        super().__init__(worker_nodes, user_classes)
        self._order = order
        self._is_told = True

    def new_dispatch(self, target_user_count: int, spawn_rate: float, user_classes: list[type[User]] | None = None) -> None:
        self._order(target_user_count, spawn_rate, self._worker_nodes)
        self._is_told = False

    def __next__(self) -> dict[str, dict[str, int]]:
        """Return an empty change once, because Locust expects one: no new users on any worker."""
        if self._is_told:
            raise StopIteration
        self._is_told = True
        return {node.id: {} for node in self._worker_nodes}

    def add_worker(self, worker_node: WorkerNode) -> None:
        self._worker_nodes.append(worker_node)

    def remove_worker(self, worker_node: WorkerNode) -> None:
        self._worker_nodes = [node for node in self._worker_nodes if node.id != worker_node.id]
