"""The command of what writes files by program: write them, or with `--check` only say whether they are current."""

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path


def main(
    package: str, about: str, folder: Path, *, stale: Callable[[Path], list[Path]], write: Callable[[Path], Iterable[Path]]
) -> None:
    """Exits with 1 where a file is not what the code makes. `about`: what it writes; `folder`: where, by default."""
    parser = argparse.ArgumentParser(prog=f"python -m {package}", description=about)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 and name the files that are stale")
    parser.add_argument("--folder", type=Path, default=folder, help="where they are; by default in the chart")
    arguments = parser.parse_args()
    if arguments.check:
        if files := stale(arguments.folder):
            named = "\n".join(f"  {file}" for file in files)
            sys.exit(f"Stale, or changed by hand:\n{named}\nRun `python -m {package}`.")
        return
    for file in write(arguments.folder):
        sys.stdout.write(f"{file}\n")
