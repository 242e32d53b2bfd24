"""The result of a check, and what to change."""

from dataclasses import dataclass

from service.console.report import Outcome
from service.errors import FirstwordError


class PreflightError(FirstwordError):
    """Preflight cannot run: the values or options are invalid, or the cluster is unreachable. The message says what to change."""


@dataclass(frozen=True)
class Found:
    """One result. The texts contain names, labels and numbers, and never the contents of a Secret."""

    outcome: Outcome
    seen: str
    """What the check saw."""
    fix: str | None = None
    """What to change. None means there is nothing to change."""


def passed(seen: str) -> Found:
    return Found("pass", seen)


def warned(seen: str, fix: str) -> Found:
    return Found("warn", seen, fix)


def failed(seen: str, fix: str) -> Found:
    return Found("fail", seen, fix)


def skipped(seen: str) -> Found:
    """Skip the check, because another check failed and left nothing to check here."""
    return Found("skipped", seen)


def some(names: list[str], most: int = 3) -> str:
    """Format the first `most` names and the number of the others. A cluster may have thousands."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def number(count: int, noun: str) -> str:
    """Format a count with its noun, such as `1 node` or `2 nodes`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
