"""`firstword check URL`: what its user types and reads. What it does is in `service.check`, imported only when it runs."""

import asyncio
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service.progress import console as progress_console
from service.progress import say

if TYPE_CHECKING:
    from service.check.report import Report

_STDOUT = Path("-")
_WIDTH_IN_FILES = 120


def check(
    url: Annotated[str, typer.Argument(metavar="URL", help="The base URL, with or without /v1, or all of chat/completions.")],
    *,
    key: Annotated[
        str | None, typer.Option(help="The API key. Other users of this machine can read it here: prefer FIRSTWORD_API_KEY.")
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="A file that holds the API key and nothing else.")] = None,
    model: Annotated[str | None, typer.Option(help="The model ID; else the first that GET /v1/models names.")] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE|-", help="Write the report as JSON; - is stdout, and the table goes to stderr."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JUnit XML.")] = None,
    timeout_s: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds that one whole answer may take.")] = 30.0,
    ttft_budget_s: Annotated[
        float, typer.Option(min=0.001, help="Seconds to the first content, above which is a warning.")
    ] = 1.0,
) -> None:
    """Run the voice platform's checklist against any OpenAI-speaking endpoint.

    The key comes from FIRSTWORD_API_KEY unless given. Exit status: 0 nothing failed, 1 something did, 2 nothing could be checked.
    """
    from service.check.run import check_endpoint  # noqa: PLC0415
    from service.check.session import Options  # noqa: PLC0415
    from service.check.tables import show  # noqa: PLC0415
    from service.check.target import find_credential, parse_url  # noqa: PLC0415

    _print_in_any_encoding()
    target = parse_url(url)
    credential = find_credential(key, key_file, os.environ)
    _must_be_writable(json_file, junit)
    options = Options(timeout_s=timeout_s, ttft_budget_s=ttft_budget_s)
    with _progress(target.root) as on_step:
        report = asyncio.run(check_endpoint(target, credential, model=model, options=options, on_step=on_step))
    is_json_on_stdout = json_file == _STDOUT
    show(report, _console(is_on_stderr=is_json_on_stdout))
    _write(report, json_file, junit)
    if report.verdict == "fail":
        raise typer.Exit(1)


def _must_be_writable(*files: Path | None) -> None:
    """Known before a minute of checks, not after it."""
    for file in files:
        if file is not None and file != _STDOUT:
            with _telling(file):
                if file.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "it is a folder")
                if not file.absolute().parent.is_dir():
                    raise FileNotFoundError(errno.ENOENT, "there is no such folder")
                if not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _write(report: "Report", json_file: Path | None, junit: Path | None) -> None:
    from service.check.report import as_json, as_junit  # noqa: PLC0415

    if json_file == _STDOUT:
        sys.stdout.buffer.write(as_json(report).encode())  # Whatever the terminal's encoding is.
    elif json_file is not None:
        with _telling(json_file):
            json_file.write_text(as_json(report), encoding="utf-8")
    if junit is not None:
        with _telling(junit):
            junit.write_bytes(as_junit(report))


@contextmanager
def _telling(file: Path) -> Iterator[None]:
    """The system's refusal as one line for the user."""
    from service.check.target import CannotCheck  # noqa: PLC0415

    try:
        yield
    except OSError as error:
        raise CannotCheck(f"{file} cannot be written: {error.strerror}.") from None


def _print_in_any_encoding() -> None:
    """A model's name may have signs that a terminal or a log cannot show: then a `?` stands for each."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _console(*, is_on_stderr: bool) -> Console:
    """In a file or a pipe there is no width to keep to, and rich would take 80."""
    console = Console(stderr=is_on_stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=is_on_stderr, highlight=False, width=_WIDTH_IN_FILES)


@contextmanager
def _progress(where: str) -> Iterator[Callable[[str, int, int], None]]:
    """On stderr: a bar on a terminal, a line for each check elsewhere."""
    if not progress_console.is_terminal:
        say(f"Checking {where}")
        yield lambda what, number, total: say(f"[{number}/{total}] {what}" if number else what)
        return
    columns = SpinnerColumn(), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=progress_console, transient=True) as bar:
        task = bar.add_task(f"Checking {where}")
        yield lambda what, number, total: bar.update(task, description=what, completed=max(0, number - 1), total=total)
