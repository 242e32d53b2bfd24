"""A check: a name, a question, what to do where the answer is no, and the function that finds out.

A check function returns what it saw. Where not all is well it raises `Failed`, `Warned` or `Skipped` with what it saw.
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
    """What it can come to."""
    fix: str
    run: Run


def check(check_id: str, title: str, *, worst: Literal["warn", "fail"], fix: str) -> Callable[[Run], Check]:
    """Make a function a check."""
    return lambda run: Check(check_id, title, worst, fix, run)
