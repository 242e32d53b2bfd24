"""`python -m loadtest.report`: the command. Exit status: 0 go, 1 no-go, 2 invalid or wrong use."""

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from loadtest.report import junit, page, thresholds
from loadtest.report.capacity import Plan
from loadtest.report.ending import NO_STATEMENT, with_a_verdict
from loadtest.report.findings import Findings, find
from loadtest.report.flags import LAUNCH, LOCUST
from loadtest.report.layout import WrongRecord
from loadtest.report.reading import read
from loadtest.report.thresholds import DEFAULT_FILE, WrongThresholds
from loadtest.report.verdict import amount, measured


class Unwritable(Exception):
    """A file of the report cannot be written."""


@with_a_verdict
def main(  # noqa: PLR0917  # typer's way to declare options
    record: Annotated[Path, typer.Argument(help="File that `locust … --record FILE` wrote.", metavar="RECORD.json")],
    wanted: Annotated[Path, typer.Option("--thresholds", help="YAML file with the thresholds.")] = DEFAULT_FILE,
    out: Annotated[Path | None, typer.Option(help="Folder for the report; by default the record's folder.")] = None,
    replicas: Annotated[int, typer.Option(help="Number of replicas behind the endpoint during the run.", min=1)] = 1,
    calls: Annotated[
        int | None,
        typer.Option(help="Calls at once that you expect. After a ramp, shows the replicas for them.", min=1),
    ] = None,
    gpu_hour_price: Annotated[
        float | None,
        typer.Option(
            help="Price of a GPU hour, in any currency. A ramp's report then has the price of 1,000 turns on time.", min=0
        ),
    ] = None,
    gpus_per_replica: Annotated[int, typer.Option(help="GPUs of a replica, for the price. Needs --gpu-hour-price.", min=1)] = 1,
    is_launch: Annotated[bool, typer.Option("--of-launch", hidden=True, help="Advise with loadtest.launch's options.")] = False,
) -> None:
    """Judge the record of a load test, go or no-go. Writes an HTML file, a JSON file and a JUnit file."""
    # Long lines do not wrap: the output often goes to a CI log, where people search it.
    console = Console(highlight=False, soft_wrap=True)
    try:
        plan = Plan(replicas, calls, gpu_hour_price, gpus_per_replica)
        findings = find(read(record), thresholds.load(wanted), plan, LAUNCH if is_launch else LOCUST)
        files = write(findings, out or record.parent, record.stem)
    except (WrongRecord, WrongThresholds, Unwritable) as problem:
        Console(stderr=True, soft_wrap=True).print(str(problem), markup=False, highlight=False)
        raise typer.Exit(NO_STATEMENT) from None
    show(findings, console)
    for file in files:
        console.print(f"  {file}", markup=False)
    raise typer.Exit(findings.verdict.exit_code)


def write(findings: Findings, folder: Path, name: str) -> list[Path]:
    """Write the report's three files. Raises `Unwritable` if one cannot be written."""
    html, data, xml = (folder / f"{name}-{ending}" for ending in ("report.html", "report.json", "junit.xml"))
    page_text = page.render(findings)
    reported = orjson.dumps(findings.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        html.write_text(page_text, encoding="utf-8")
        data.write_bytes(reported)
        junit.write(findings, xml)
    except OSError as error:
        raise Unwritable(f"The report cannot be written: {error.filename or folder}: {error.strerror}.") from None
    return [html, data, xml]


def show(findings: Findings, console: Console) -> None:
    verdict = findings.verdict
    console.print(f"\n{verdict.word.upper()}", style="bold")
    for sentence in verdict.why:
        console.print(f"  {sentence}", markup=False)
    table = Table("threshold", "required", "measured", "met", box=None)
    for row in verdict.rows:
        sign, met = "≥" if row.threshold.endswith("_min") else "≤", "yes" if row.is_met else "no"
        table.add_row(row.threshold, f"{sign} {amount(row.wanted, row.unit)}", measured(row), met)
    console.print(table)
    console.print(f"  judged: {verdict.judged}", markup=False)
    for sentence in findings.advice:
        console.print(f"  - {sentence}", markup=False)


if __name__ == "__main__":
    typer.run(main)
