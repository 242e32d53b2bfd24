"""Shows where every thread, task and engine process is: names of files, functions and states, but no values."""

import asyncio
import contextlib
import gc
import inspect
import sys
import threading
import traceback
from collections import Counter
from types import FrameType
from typing import Any

import psutil

_FRAMES = 12
"""Number of innermost frames to show. The outer frames are middleware, the same for all."""
_LONGEST_CHAIN = 100
_TASKS = 64


def thread_stacks() -> dict[str, list[str]]:
    """Return the frames of each thread, innermost last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {names.get(ident, str(ident)): _places(traceback.walk_stack(frame)) for ident, frame in sys._current_frames().items()}


def task_stacks(loop: asyncio.AbstractEventLoop) -> list[str]:
    """Return what the tasks of an event loop wait for, most frequent first. Safe to call from another thread."""
    with contextlib.suppress(RuntimeError):  # The set of tasks kept changing while it was read.
        waiting = Counter(_task(task) for task in asyncio.all_tasks(loop))
        return [f"{count} x {task}" for task, count in waiting.most_common(_TASKS)]
    return []


def process_states() -> list[dict[str, Any]]:
    """Return the state of each descendant process. `status` shows whether it is stopped, works or waits."""
    states: list[dict[str, Any]] = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            states.append({"pid": child.pid, "name": child.name(), "status": child.status(), "cpu_s": sum(child.cpu_times()[:2])})
    return states


def places_of(error: BaseException) -> list[str]:
    """Return where an error was raised, innermost place last. The message is left out: it can quote a conversation."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)][-_FRAMES:]


def _task(task: "asyncio.Task[Any]") -> str:
    """Return a task's chain of awaits. `Task.get_stack` shows only the outermost frame."""
    places: list[str] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(places) < _LONGEST_CHAIN:
        if frame := _first_of(awaited, "cr_frame", "gi_frame", "ag_frame"):
            places.append(_place(frame, frame.f_lineno))
        awaited = _first_of(awaited, "cr_await", "gi_yieldfrom", "ag_await")
    return " > ".join(places[-_FRAMES:])


def _first_of(awaited: Any, *names: str) -> Any:
    """Return an attribute that coroutines, generators and asynchronous generators have under different names."""
    if (
        type(awaited).__name__ == "async_generator_asend"
    ):  # The result of `anext`. Only the garbage collector knows its generator.
        awaited = next(filter(inspect.isasyncgen, gc.get_referents(awaited)), None)
    return next((getattr(awaited, name) for name in names if hasattr(awaited, name)), None)


def _places(frames: Any) -> list[str]:
    return [_place(frame, line) for frame, line in list(frames)[:_FRAMES]][::-1]


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
