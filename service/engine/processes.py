"""The child processes of the service. An engine starts several, and none of them may outlive the service."""

import contextlib
from multiprocessing import resource_tracker

import psutil


def kill_children(*, wait_s: float) -> None:
    """Kill every descendant process except Python's resource tracker, then wait up to `wait_s` seconds for them to end.

    The resource tracker frees what the killed processes left in /dev/shm. It ends with this process.
    """
    tracker = getattr(resource_tracker._resource_tracker, "_pid", None)
    children = [child for child in psutil.Process().children(recursive=True) if child.pid != tracker]
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=wait_s)
