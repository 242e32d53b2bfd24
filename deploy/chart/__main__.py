"""`python -m deploy.chart`: write the chart's values, schema and README; with `--check` only say whether they are current."""

import argparse
import sys
from pathlib import Path

from deploy.chart.files import FOLDER, stale, write


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.chart", description="Write the chart's values, schema and README.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 and name the files that are stale")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the chart's")
    arguments = parser.parse_args()
    if arguments.check:
        if files := stale(arguments.folder):
            named = "\n".join(f"  {file}" for file in files)
            sys.exit(f"Stale, or changed by hand:\n{named}\nRun `python -m deploy.chart`.")
        return
    for file in write(arguments.folder):
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
