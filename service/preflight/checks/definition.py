"""The two kinds of check. A check has an id, a title and a function that yields its results.

The function yields nothing when the check does not apply to the values.
"""

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
    """Turn a function into a check that runs once."""
    return lambda run: ClusterCheck(check_id, title, run)


def pool_check(check_id: str, title: str) -> Callable[[OfPool], PoolCheck]:
    """Turn a function into a check that runs for each pool."""
    return lambda run: PoolCheck(check_id, title, run)
