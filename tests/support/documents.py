"""Reading `docs/`, whose tables and examples tests hold against the code."""

import re
from collections.abc import Iterable
from pathlib import Path

_BAR = re.compile(r"(?<!\\)\|")
_DOCS = Path(__file__).parents[2] / "docs"


def document_text(document: str) -> str:
    return (_DOCS / document).read_text()


def document_lines(document: str) -> list[str]:
    return document_text(document).splitlines()


def table_rows(document: str) -> list[tuple[str, ...]]:
    """The cells of the document's one Markdown table, header and rule left out."""
    return _rows(document_lines(document))


def table_rows_under(document: str, heading: str) -> list[tuple[str, ...]]:
    """The same of the table under a heading, where a document has several."""
    lines = document_lines(document)
    below = lines[lines.index(heading) + 1 :]
    end = next((number for number, line in enumerate(below) if line.startswith("#")), len(below))
    return _rows(below[:end])


def _rows(lines: Iterable[str]) -> list[tuple[str, ...]]:
    table = [line for line in lines if line.startswith("|")]
    return [tuple(cell.strip().replace("\\|", "|") for cell in _BAR.split(line.strip("|"))) for line in table[2:]]
