"""Output of a benchmark: a results file with pictures and tables beside it, and the measured part of a documentation page."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path

import typer

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def results_file(given: Path | None, name: str, *, is_quick: bool, is_measured: bool) -> Path:
    """The results file to add to. Raises `typer.BadParameter` if nothing is measured and the file does not exist."""
    file = given or Path("reports") / f"{name}-{'quick-' if is_quick else ''}{date.today().isoformat()}.json"
    if not (is_measured or file.exists()):
        raise typer.BadParameter(f"{file} does not exist, so there is nothing to report. Name a file with --results.")
    return file


def write_beside(file: Path, draw: Callable[[Path], None], markdown: str) -> None:
    """Write the pictures and tables of a results file beside it."""
    for suffix in (".svg", ".png"):
        draw(file.with_suffix(suffix))
    file.with_suffix(".md").write_text(markdown + "\n")


def write_measured(page: Path, reported: str) -> None:
    """Replace the text between a page's two marks. Raises `typer.BadParameter` if a mark is missing."""
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise typer.BadParameter(f"{page} must contain the lines {BEGIN} and {END}. Results are written between them.")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{reported}\n\n{END}{after}")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))
