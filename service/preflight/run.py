"""From plan and cluster to a report: one check after another."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from service import __version__
from service.console.report import Counts
from service.preflight.checks.all_checks import CLUSTER_CHECKS, POOL_CHECKS
from service.preflight.checks.definition import ClusterCheck, PoolCheck
from service.preflight.cluster.client import Cluster, CouldNotLook, NotAllowed
from service.preflight.cluster.model_hub import ModelHub
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import CannotLook, Found, doubtful
from service.preflight.report import Finding, Report
from service.preflight.values.load_values import Plan


def look(plan: Plan, cluster: Cluster, hub: ModelHub | None) -> Report:
    """Raises `CannotLook` where the cluster cannot be reached, or its nodes or pods not seen. No hub: it is not asked."""
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    snapshot = Snapshot(plan, cluster, hub)
    snapshot.must_be_seen()
    findings = list(_findings(snapshot))
    counts = Counts.of(finding.outcome for finding in findings)
    return Report(
        firstword_version=__version__,
        started_at=started_at,
        duration_s=round(time.monotonic() - started, 3),
        cluster=cluster.name,
        namespace=plan.namespace,
        release=plan.release,
        verdict="fail" if counts.failed else "pass",
        counts=counts,
        findings=findings,
    )


def _findings(snapshot: Snapshot) -> Iterator[Finding]:
    for check in CLUSTER_CHECKS:
        for found in _found(partial(check.run, snapshot)):
            yield _finding(None, check, found)
    for pool in snapshot.plan.pools:
        for pool_check in POOL_CHECKS:
            for found in _found(partial(pool_check.run, snapshot, pool)):
                yield _finding(pool.name, pool_check, found)


def _found(run: Callable[[], Iterator[Found]]) -> Iterator[Found]:
    try:
        yield from run()
    except NotAllowed as needs:
        yield doubtful(f"could not be looked at: needs {needs}", "Let who runs preflight look: docs/preflight.md has the role.")
    except CouldNotLook as why:
        yield doubtful(f"could not be looked at: {why}", "Try again, or look by hand.")
    except CannotLook:
        raise
    except Exception as error:  # Free maps of the values, and objects of others: the other checks are run whatever stands there.
        seen = f"could not be looked at ({type(error).__name__})"
        yield doubtful(seen, "Some value or object is not as Kubernetes or vLLM wants it: compare with their reference.")


def _finding(pool: str | None, check: ClusterCheck | PoolCheck, found: Found) -> Finding:
    return Finding(pool=pool, check=check.id, title=check.title, outcome=found.outcome, seen=found.seen, fix=found.fix)
