"""Writes the reports of `firstword check` and `firstword preflight` to a file or to stdout."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import StartError

STDOUT = Path("-")
"""File name that means stdout."""


def must_be_writable(*files: Path | None) -> None:
    """Raises `StartError` if a file cannot be written, before the checks take their time."""
    for file in files:
        if file is not None and file != STDOUT:
            with writing_to(file):
                if file.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "it is a folder")
                if not file.absolute().parent.is_dir():
                    raise FileNotFoundError(errno.ENOENT, "there is no such folder")
                if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_report(text: str, file: Path | None) -> None:
    """Write the report to a file or to stdout, always in UTF-8. Raises `StartError`."""
    if file == STDOUT:
        sys.stdout.buffer.write(text.encode())
    elif file is not None:
        with writing_to(file):
            file.write_text(text, encoding="utf-8")


@contextmanager
def writing_to(file: Path) -> Iterator[None]:
    """Raises `StartError` with the file's name instead of an `OSError`."""
    try:
        yield
    except OSError as error:
        raise StartError(f"{file} cannot be written: {error.strerror}.") from None


def print_in_any_encoding() -> None:
    """Print `?` for each character that the encoding of stdout or stderr does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
