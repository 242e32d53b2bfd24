"""Write the dashboards' JSON that the chart ships, and find files that are out of date."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from deploy.dashboards import capacity, engine, names, voice_slo

FOLDER = Path(__file__).parent.parent / "helm/firstword/files/dashboards"
_PAGES: dict[str, Callable[[], Dashboard]] = {
    names.VOICE_SLO: voice_slo.build,
    names.ENGINE: engine.build,
    names.CAPACITY: capacity.build,
}


def render() -> dict[str, str]:
    """The text of each file, by file name. Keys are sorted, so that a diff shows only real changes."""
    encoder = JSONEncoder(indent=2, sort_keys=True)
    return {f"{uid}.json": encoder.encode(build()) + "\n" for uid, build in _PAGES.items()}


def documents() -> list[dict[str, Any]]:
    """The dashboards as Grafana reads them."""
    return [json.loads(text) for text in render().values()]


def stale(folder: Path = FOLDER) -> list[Path]:
    """Files that differ from what the code writes, and files that the code does not write at all."""
    wanted = {folder / name: text for name, text in render().items()}
    there = {file: file.read_text() for file in folder.glob("*.json")}
    return sorted(file for file in wanted.keys() | there.keys() if wanted.get(file) != there.get(file))


def write(folder: Path = FOLDER) -> list[Path]:
    """Bring the folder up to date. Returns the files that have changed."""
    changed = stale(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = render()
    for file in changed:
        if file.name in wanted:
            file.write_text(wanted[file.name])
        else:
            file.unlink()
    return changed
