"""What a check found, and what to change."""

from dataclasses import dataclass

from service.console.report import Outcome
from service.errors import FirstwordError


class CannotLook(FirstwordError):
    """Wrong use, or a cluster that cannot be reached; the message says what to change."""


@dataclass(frozen=True)
class Found:
    """What is so, and what to change. Names, labels and numbers; never what a Secret holds."""

    outcome: Outcome
    seen: str
    fix: str | None = None


def good(seen: str) -> Found:
    return Found("pass", seen)


def doubtful(seen: str, fix: str) -> Found:
    return Found("warn", seen, fix)


def wrong(seen: str, fix: str) -> Found:
    return Found("fail", seen, fix)


def skipped(seen: str) -> Found:
    """Another check's fault leaves nothing to look at."""
    return Found("skipped", seen)


def some(names: list[str], most: int = 3) -> str:
    """The first few by name, the rest by number: a cluster may have thousands."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
