"""`firstword preflight`: what its user types and reads. What it does is in `service.preflight`, imported only when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from service.console.output import STDOUT, must_be_writable, print_in_any_encoding, write_report
from service.console.progress import step
from service.console.tables import table_console


def preflight(
    *,
    values: Annotated[
        list[Path] | None,
        typer.Option("--values", "-f", metavar="FILE|-", help="The chart's values, as for helm; several: later ones win."),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Where it is to be installed; else the context's.")
    ] = None,
    release: Annotated[
        str, typer.Option(help="The release's name; what runs of it already is not counted as taken.")
    ] = "firstword",
    context: Annotated[str | None, typer.Option(help="The kubeconfig's context; else the current one.")] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Else KUBECONFIG, ~/.kube/config, or the pod's own account.")] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE|-", help="Write the report as JSON; - is stdout, and the table goes to stderr."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the model hub how large the model is.")] = False,
) -> None:
    """Will the chart run on this cluster, with these values? It only looks.

    Exit status: 0 nothing failed, 1 something did, 2 nothing could be looked at.
    """
    from service.preflight.cluster.client import Cluster
    from service.preflight.cluster.model_hub import ModelHub
    from service.preflight.report import as_json
    from service.preflight.run import look
    from service.preflight.tables import show
    from service.preflight.values.load_values import Plan, read_values

    print_in_any_encoding()
    must_be_writable(json_file)
    read, pools = read_values(values or [])
    cluster = Cluster.connect(kubeconfig=kubeconfig, context=context)
    plan = Plan(read, pools, release=release, namespace=namespace or cluster.namespace)
    with step(f"Looking at {cluster.name}"):
        report = look(plan, cluster, None if offline else ModelHub())
    show(report, table_console(is_on_stderr=json_file == STDOUT))
    write_report(as_json(report), json_file)
    if report.verdict == "fail":
        raise typer.Exit(1)
