"""What the commands that report have in common: where a report goes, and that it can be written there."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import StartError

STDOUT = Path("-")
"""As a file's name: the report goes to stdout."""


def must_be_writable(*files: Path | None) -> None:
    """Known before a minute of work, not after it. Raises `StartError`."""
    for file in files:
        if file is not None and file != STDOUT:
            with telling(file):
                if file.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "it is a folder")
                if not file.absolute().parent.is_dir():
                    raise FileNotFoundError(errno.ENOENT, "there is no such folder")
                if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_report(text: str, file: Path | None) -> None:
    """To a file, or to stdout, whatever the terminal's encoding is. Raises `StartError`."""
    if file == STDOUT:
        sys.stdout.buffer.write(text.encode())
    elif file is not None:
        with telling(file):
            file.write_text(text, encoding="utf-8")


@contextmanager
def telling(file: Path) -> Iterator[None]:
    """The system's refusal as one line for the user: `StartError`."""
    try:
        yield
    except OSError as error:
        raise StartError(f"{file} cannot be written: {error.strerror}.") from None


def print_in_any_encoding() -> None:
    """A name may have signs that a terminal or a log cannot show: then a `?` stands for each."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
