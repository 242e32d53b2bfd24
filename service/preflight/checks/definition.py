"""A check: a name, a question, and the function that finds out. It yields what it found; nothing where it does not apply."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found
from service.preflight.values.pool_values import Pool

OfCluster = Callable[[Snapshot], Iterator[Found]]
OfPool = Callable[[Snapshot, Pool], Iterator[Found]]


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
