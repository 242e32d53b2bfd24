"""Where a benchmark's results go: a file of the day with pictures and tables beside it, and a documentation page's part."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path

import typer

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def results_file(given: Path | None, name: str, *, is_quick: bool, is_measured: bool) -> Path:
    """The file to add to. Raises `typer.BadParameter` where nothing is measured and there is none."""
    file = given or Path("reports") / f"{name}-{'quick-' if is_quick else ''}{date.today().isoformat()}.json"
    if not (is_measured or file.exists()):
        raise typer.BadParameter(f"there is no {file} to report; name one with --results.")
    return file


def write_beside(file: Path, draw: Callable[[Path], None], markdown: str) -> None:
    """Pictures and tables of a results file."""
    for suffix in (".svg", ".png"):
        draw(file.with_suffix(suffix))
    file.with_suffix(".md").write_text(markdown + "\n")


def write_measured(page: Path, told: str) -> None:
    """Put what was measured between a page's two marks. Raises `typer.BadParameter` where it has none."""
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise typer.BadParameter(f"{page} has no {BEGIN} … {END} to write between.")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{told}\n\n{END}{after}")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))
