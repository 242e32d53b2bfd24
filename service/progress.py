"""Progress of what takes long, on stderr: a spinner with the time on a terminal, a line now and then elsewhere."""

import contextlib
import threading
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_EVERY_S = 10.0
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
    is_over = threading.Event()

    def tell() -> None:
        while not is_over.wait(_EVERY_S):
            say(f"{what} … {time.monotonic() - started:.0f} s")

    say(f"{what} …")
    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        is_over.set()
        teller.join()
