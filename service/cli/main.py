"""The command `firstword`. Each subcommand has its own file."""

import sys

import typer

from service import __version__
from service.cli import check, fetch, keys, model, preflight, serve
from service.errors import FirstwordError

app = typer.Typer(
    help="Put your own language model behind a voice agent.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(keys.app, name="keys")
app.command()(serve.serve)
app.command()(serve.worker)
app.command()(check.check)
app.command()(fetch.fetch)
app.command()(model.model)
app.command()(preflight.preflight)


def main() -> None:
    """Entry point. An error that the user can correct is one line without a traceback, and exit status 2."""
    try:
        app()
    except FirstwordError as error:
        print(f"firstword: {error}", file=sys.stderr)
        sys.exit(2)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)
