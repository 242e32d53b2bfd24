"""How a command ends whose exit status is a verdict: 1 says no-go, so nothing else may end with it."""

import functools
import traceback
from collections.abc import Callable
from typing import ParamSpec

import typer

NO_STATEMENT = 2
INTERRUPTED = 130
"""As a shell has it."""
P = ParamSpec("P")


def with_a_verdict(command: Callable[P, None]) -> Callable[P, None]:
    """`command`, which ends with its own `typer.Exit`, or with `NO_STATEMENT` and a traceback where it has a fault."""

    @functools.wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            command(*arguments, **options)
        except typer.Exit:
            raise
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except SystemExit:  # Rich ends so, and with 1, where nobody reads its output any more (`… | head -1`).
            raise typer.Exit(NO_STATEMENT) from None
        except Exception:  # Typer would end with 1.
            traceback.print_exc()
            raise typer.Exit(NO_STATEMENT) from None

    return run
