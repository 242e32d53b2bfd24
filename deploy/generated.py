"""Command line of a module that generates files: write them, or with `--check` only say whether they are current."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path


def main(
    package: str, about: str, folder: Path, *, stale: Callable[[Path], list[Path]], write: Callable[[Path], Iterable[Path]]
) -> None:
    """Run the command. With `--check`, exit with 1 if a file differs from what the code writes.

    `about` says what the command writes. `folder` is where it writes by default.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=about)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 and name the files that are out of date")
    parser.add_argument("--folder", type=Path, default=folder, help="folder of the files; by default in the chart")
    arguments = parser.parse_args()
    if arguments.check:
        if files := stale(arguments.folder):
            named = "\n".join(f"  {file}" for file in files)
            sys.exit(f"These files are out of date or were changed by hand:\n{named}\nRun `python -m {package}`.")
        return
    for file in write(arguments.folder):
        sys.stdout.write(f"{file}\n")
