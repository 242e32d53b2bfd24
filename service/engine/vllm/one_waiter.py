"""What a turn's reader waits on. vLLM's collector has an `asyncio.Event`, which is made for any number of tasks; here one reads,
and looks for itself before it waits. Each frame is one wait.
"""

import asyncio


class OneWaiter:
    """An event for one task. It must look for what it waits for before each `wait`: what was `set` before that is not kept."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: asyncio.Future[None] | None = None

    def wait(self) -> asyncio.Future[None]:
        """Done at the next `set`."""
        self._waiting = asyncio.get_running_loop().create_future()
        return self._waiting

    def set(self) -> None:
        """Wake who waits, if anybody does."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():  # It is done where its task was cancelled.
            waiting.set_result(None)

    def clear(self) -> None:
        """Nothing is kept, so nothing is to be forgotten."""
