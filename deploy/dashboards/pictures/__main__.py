"""`python -m deploy.dashboards.pictures RECORDED.json OUTDIR` draws one PNG for each dashboard."""

import argparse
import json
import sys
from pathlib import Path

from deploy.dashboards.files import documents
from deploy.dashboards.pictures.sheet import draw, save


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.dashboards.pictures", description="Draw the dashboards.")
    parser.add_argument("recorded", type=Path, help="the result of deploy.dashboards.recorded.record(), as JSON")
    parser.add_argument("outdir", type=Path)
    arguments = parser.parse_args()
    recording = json.loads(arguments.recorded.read_text())
    arguments.outdir.mkdir(parents=True, exist_ok=True)
    for document in documents():
        file = arguments.outdir / f"{document['uid']}.png"
        save(draw(document, recording), file)
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
