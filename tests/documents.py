"""Reading the tables of `docs/`, which tests hold against the code."""

from pathlib import Path

_DOCS = Path(__file__).parent.parent / "docs"


def document_lines(document: str) -> list[str]:
    return (_DOCS / document).read_text().splitlines()


def table_rows(document: str) -> list[tuple[str, ...]]:
    """The cells of the document's one Markdown table, header and rule left out."""
    lines = [line for line in document_lines(document) if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]
