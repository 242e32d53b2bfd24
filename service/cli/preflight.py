"""`firstword preflight`: the command line and its output. `service.preflight` does the work; it is imported only when it runs."""

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
        typer.Option(
            "--values", "-f", metavar="FILE|-", help="The chart's values, as for helm. A later file overrides an earlier one."
        ),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="The namespace to install into. By default, the context's namespace.")
    ] = None,
    release: Annotated[
        str, typer.Option(help="The name of the release. What it already runs does not count as used capacity.")
    ] = "firstword",
    context: Annotated[str | None, typer.Option(help="The kubeconfig's context. By default, the current context.")] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="By default KUBECONFIG, ~/.kube/config, or the pod's own account.")
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE|-", help="Write the report as JSON. - means stdout; the table then goes to stderr."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the model hub for the size of the model.")] = False,
) -> None:
    """Check whether the chart will run on this cluster with these values. It changes nothing.

    Exit status: 0 if no check failed, 1 if a check failed, 2 if nothing could be checked.
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
    with step(f"Checking {cluster.name}"):
        report = look(plan, cluster, None if offline else ModelHub())
    show(report, table_console(is_on_stderr=json_file == STDOUT))
    write_report(as_json(report), json_file)
    if report.verdict == "fail":
        raise typer.Exit(1)
