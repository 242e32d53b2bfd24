"""Exit status of a command whose status is a verdict. 1 means no-go, so a fault must not end with 1."""

import functools
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

NO_STATEMENT = 2
INTERRUPTED = 130
"""Exit status after Ctrl-C, as in a shell."""
P = ParamSpec("P")


def with_a_verdict(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap `command`. It ends with its own `typer.Exit`, or after a fault with a traceback and `NO_STATEMENT`."""

    @functools.wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            command(*arguments, **options)
        except typer.Exit:
            raise
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except SystemExit:  # Rich exits with 1 if its output is closed (`… | head -1`).
            raise typer.Exit(NO_STATEMENT) from None
        except Exception:  # Typer would exit with 1.
            traceback.print_exc()
            raise typer.Exit(NO_STATEMENT) from None

    return run
