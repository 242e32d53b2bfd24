"""A check: a name, a question, what to do where the answer is no, and the function that finds out.

A check function returns what it saw; it raises `Failed`, `Warned` or `Skipped`, with what it saw, where all is not well.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from service.check.probe.session import Session

Outcome = Literal["pass", "warn", "fail", "skipped"]


class NotPassed(Exception):
    """What was seen: statuses, JSON paths, times; never what a message says, never a key."""

    outcome: ClassVar[Outcome]


class Failed(NotPassed):
    """A platform could not use the endpoint, or should not."""

    outcome = "fail"


class Warned(NotPassed):
    """It works, but worse than it could."""

    outcome = "warn"


class Skipped(NotPassed):
    """Another check's fault leaves nothing to look at."""

    outcome = "skipped"


Run = Callable[["Session"], Awaitable[str]]


@dataclass(frozen=True)
class Check:
    id: str
    title: str
    worst: Literal["warn", "fail"]
    """What it can come to."""
    fix: str
    run: Run


def check(check_id: str, title: str, *, worst: Literal["warn", "fail"], fix: str) -> Callable[[Run], Check]:
    """Make a function a check."""
    return lambda run: Check(check_id, title, worst, fix, run)
