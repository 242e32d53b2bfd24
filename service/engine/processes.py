"""The processes below this one: an engine makes several, and none may outlive us."""

import contextlib
from multiprocessing import resource_tracker

import psutil


def kill_children(*, wait_s: float) -> None:
    """Kill every process below this one, but for Python's resource tracker: it frees what the dead left in /dev/shm, and
    ends with us.
    """
    tracker = getattr(resource_tracker._resource_tracker, "_pid", None)
    children = [child for child in psutil.Process().children(recursive=True) if child.pid != tracker]
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=wait_s)
