"""Where Locust would start users, calls are ordered."""

from collections.abc import Callable, Iterable

from locust import User
from locust.dispatch import UsersDispatcher
from locust.runners import WorkerNode

Order = Callable[[int, float, Iterable[WorkerNode]], None]
"""Most calls at once, calls a second, the processes that place them."""


class Dispatcher(UsersDispatcher):
    """Locust's way from `-u` and `-r` to users, without its users: the processes that place calls start one per call."""

    def __init__(self, order: Order, worker_nodes: list[WorkerNode], user_classes: list[type[User]]) -> None:
        super().__init__(worker_nodes, user_classes)
        self._order = order
        self._is_told = True

    def new_dispatch(self, target_user_count: int, spawn_rate: float, user_classes: list[type[User]] | None = None) -> None:
        self._order(target_user_count, spawn_rate, self._worker_nodes)
        self._is_told = False

    def __next__(self) -> dict[str, dict[str, int]]:
        """Once, since Locust expects something: no change of any class of users on any worker."""
        if self._is_told:
            raise StopIteration
        self._is_told = True
        return {node.id: {} for node in self._worker_nodes}

    def add_worker(self, worker_node: WorkerNode) -> None:
        self._worker_nodes.append(worker_node)

    def remove_worker(self, worker_node: WorkerNode) -> None:
        self._worker_nodes = [node for node in self._worker_nodes if node.id != worker_node.id]
