"""Progress of what takes long, on stderr: a spinner with the time on a terminal, a line now and then elsewhere."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

EVERY_S = 10.0
console = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # Progress is worth nothing where nobody looks.
        console.print(line, markup=False, soft_wrap=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Show that `what` is under way, and at its end how long it took."""
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
    with now_and_then(lambda: say(f"{what} … {time.monotonic() - started:.0f} s")):
        yield


@contextlib.contextmanager
def now_and_then(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` every `EVERY_S` seconds, on a thread of its own."""
    is_over = threading.Event()

    def keep_telling() -> None:
        while not is_over.wait(EVERY_S):
            tell()

    teller = threading.Thread(target=keep_telling, daemon=True)
    teller.start()
    try:
        yield
    finally:
        is_over.set()
        teller.join()
