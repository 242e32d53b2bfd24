"""`firstword check URL`: the command line and its output. `service.check` does the work; it is imported only when it runs."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service.console.output import STDOUT, must_be_writable, print_in_any_encoding, write_report, writing_to
from service.console.progress import console as progress_console
from service.console.progress import say
from service.console.tables import table_console

if TYPE_CHECKING:
    from service.check.report import Report


def check(
    url: Annotated[
        str, typer.Argument(metavar="URL", help="The base URL, with or without /v1, or the whole URL of chat/completions.")
    ],
    *,
    key: Annotated[
        str | None, typer.Option(help="The API key. Other users of this machine can read it here, so prefer FIRSTWORD_API_KEY.")
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="A file that contains only the API key.")] = None,
    model: Annotated[str | None, typer.Option(help="The model ID. By default, the first one that GET /v1/models lists.")] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE|-", help="Write the report as JSON. - means stdout; the table then goes to stderr."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JUnit XML.")] = None,
    timeout_s: Annotated[float, typer.Option(min=0.1, max=600, help="Maximum seconds for a whole answer.")] = 30.0,
    ttft_budget_s: Annotated[
        float, typer.Option(min=0.001, help="Seconds to the first content; more than this is a warning.")
    ] = 1.0,
) -> None:
    """Check whether an endpoint with the OpenAI API works for a voice agent.

    The API key comes from FIRSTWORD_API_KEY unless you give one.

    Exit status: 0 if no check failed, 1 if a check failed, 2 if nothing could be checked.
    """
    from service.check.probe.session import Options
    from service.check.probe.target import CannotCheck, find_credential, parse_url
    from service.check.run import check_endpoint
    from service.check.tables import show

    print_in_any_encoding()
    target = parse_url(url)
    credential = find_credential(key, key_file, os.environ)
    if json_file and junit and json_file.absolute() == junit.absolute():
        raise CannotCheck(f"--json and --junit both name {junit}. Give each report its own file.")
    must_be_writable(json_file, junit)
    options = Options(timeout_s=timeout_s, ttft_budget_s=ttft_budget_s)
    with _progress(target.root) as on_step:
        report = asyncio.run(check_endpoint(target, credential, model=model, options=options, on_step=on_step))
    show(report, table_console(is_on_stderr=json_file == STDOUT))
    _write(report, json_file, junit)
    if report.verdict == "fail":
        raise typer.Exit(1)


def _write(report: "Report", json_file: Path | None, junit: Path | None) -> None:
    from service.check.report import as_json, as_junit

    write_report(as_json(report), json_file)
    if junit is not None:
        with writing_to(junit):
            junit.write_bytes(as_junit(report))


@contextmanager
def _progress(where: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show progress on stderr: a bar on a terminal, else a line for each check."""
    if not progress_console.is_terminal:
        say(f"Checking {where}")
        yield lambda what, number, total: say(f"[{number}/{total}] {what}" if number else what)
        return
    columns = SpinnerColumn(), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=progress_console, transient=True) as bar:
        task = bar.add_task(f"Checking {where}")
        yield lambda what, number, total: bar.update(task, description=what, completed=max(0, number - 1), total=total)
