"""A check: a name, a question, and the function that finds out. It yields what it found; nothing, where it does not apply."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.check.outcome import Outcome
from service.errors import FirstwordError
from service.preflight.values.pool_values import Pool

if TYPE_CHECKING:
    from service.preflight.cluster.snapshot import Survey


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


OfCluster = Callable[["Survey"], Iterator[Found]]
OfPool = Callable[["Survey", Pool], Iterator[Found]]


@dataclass(frozen=True)
class ClusterCheck:
    id: str
    title: str
    run: OfCluster


@dataclass(frozen=True)
class PoolCheck:
    id: str
    title: str
    run: OfPool


def cluster_check(check_id: str, title: str) -> Callable[[OfCluster], ClusterCheck]:
    """Make a function a check that is run once."""
    return lambda run: ClusterCheck(check_id, title, run)


def pool_check(check_id: str, title: str) -> Callable[[OfPool], PoolCheck]:
    """Make a function a check that is run for each pool."""
    return lambda run: PoolCheck(check_id, title, run)


def some(names: list[str], most: int = 3) -> str:
    """The first few by name, the rest by number: a cluster may have thousands."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
