"""What a check is: an id, a title, a fix, and the function that runs it.

The function returns what it saw. It raises `Failed`, `Warned` or `Skipped` if the check does not pass.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from service.check.probe.session import Session

Run = Callable[[Session], Awaitable[str]]


@dataclass(frozen=True)
class Check:
    id: str
    title: str
    worst: Literal["warn", "fail"]
    """The worst outcome of the check."""
    fix: str
    run: Run


def check(check_id: str, title: str, *, worst: Literal["warn", "fail"], fix: str) -> Callable[[Run], Check]:
    """Decorator that makes a check of a function."""
    return lambda run: Check(check_id, title, worst, fix, run)
