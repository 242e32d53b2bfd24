"""The generated files, and whether they are current."""

from collections.abc import Callable
from pathlib import Path

from deploy.chart import readme_file, schema_file, values_file

FOLDER = Path(__file__).parent.parent / "helm/firstword"
_FILES: dict[str, Callable[[], str]] = {
    "values.yaml": values_file.render,
    "values.schema.json": schema_file.render,
    "README.md": readme_file.render,
}


def stale(folder: Path = FOLDER) -> list[Path]:
    """Return the files that differ from the generated text."""
    return [folder / name for name, render in _FILES.items() if _text(folder / name) != render()]


def write(folder: Path = FOLDER) -> list[Path]:
    """Write the stale files and return them."""
    changed = stale(folder)
    for file in changed:
        file.write_text(_FILES[file.name](), encoding="utf-8")
    return changed


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8") if file.is_file() else None
