"""Shows progress on stderr: a spinner with the time on a terminal, else a line at intervals."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

EVERY_S = 10.0
"""Seconds between two lines of progress."""
console = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """Print a line on stderr. Errors are ignored: work does not depend on its progress being shown."""
    with contextlib.suppress(OSError, ValueError):
        console.print(line, markup=False, soft_wrap=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Show that the step `what` is running, and at its end how long it took."""
    started = time.monotonic()
    if console.is_terminal:
        columns = SpinnerColumn(), TextColumn("{task.description} …"), TimeElapsedColumn()
        with Progress(*columns, console=console, transient=True) as progress:
            progress.add_task(what)
            yield
    else:
        with _lines(what, started):
            yield
    say(f"{what}: done in {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def _lines(what: str, started: float) -> Iterator[None]:
    say(f"{what} …")
    with at_intervals(lambda: say(f"{what} … {time.monotonic() - started:.0f} s")):
        yield


@contextlib.contextmanager
def at_intervals(report: Callable[[], None]) -> Iterator[None]:
    """Call `report` every `EVERY_S` seconds on a separate thread, until the scope ends."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(EVERY_S):
            report()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
