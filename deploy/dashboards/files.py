"""The JSON that the chart ships, and whether what is committed is what the code makes."""

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
    """What each file holds, by its name. The order of keys is fixed, so that a diff shows what has changed and nothing else."""
    encoder = JSONEncoder(indent=2, sort_keys=True)
    return {f"{uid}.json": encoder.encode(build()) + "\n" for uid, build in _PAGES.items()}


def documents() -> list[dict[str, Any]]:
    """The dashboards as Grafana reads them."""
    return [json.loads(text) for text in render().values()]


def stale(folder: Path = FOLDER) -> list[Path]:
    """Files that are not what the code makes, and such that it does not make at all."""
    wanted = {folder / name: text for name, text in render().items()}
    there = {file: file.read_text() for file in folder.glob("*.json")}
    return sorted(file for file in wanted.keys() | there.keys() if wanted.get(file) != there.get(file))


def write(folder: Path = FOLDER) -> list[Path]:
    """Bring the folder up to date; returns what has changed."""
    changed = stale(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = render()
    for file in changed:
        if file.name in wanted:
            file.write_text(wanted[file.name])
        else:
            file.unlink()
    return changed
