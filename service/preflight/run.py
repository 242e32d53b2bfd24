"""Run all checks and build the report."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from service import __version__
from service.console.report import Counts
from service.preflight.checks.all_checks import CLUSTER_CHECKS, POOL_CHECKS
from service.preflight.checks.definition import ClusterCheck, PoolCheck
from service.preflight.cluster.client import Cluster, LookupFailed, PermissionMissing
from service.preflight.cluster.model_hub import ModelHub
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, PreflightError, warned
from service.preflight.report import Finding, Report
from service.preflight.values.load_values import Plan


def look(plan: Plan, cluster: Cluster, hub: ModelHub | None) -> Report:
    """Run all checks. `hub` is None when the model hub must not be queried.

    Raises `PreflightError` when the cluster is unreachable, or when nodes or pods cannot be listed.
    """
    started_at, started = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    snapshot = Snapshot(plan, cluster, hub)
    snapshot.require_nodes_and_pods()
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
    except PermissionMissing as needs:
        yield warned(
            f"not checked: this needs the permission {needs}", "Grant the user who runs preflight the role in docs/preflight.md."
        )
    except LookupFailed as why:
        yield warned(f"not checked: {why}", "Try again, or check this by hand.")
    except PreflightError:
        raise
    except Exception as error:  # Free-form values and objects of other owners may hold anything. The other checks must still run.
        seen = f"not checked: a value or an object has an unexpected form ({type(error).__name__})"
        yield warned(seen, "Compare the values and the objects of this check with the reference of Kubernetes or vLLM.")


def _finding(pool: str | None, check: ClusterCheck | PoolCheck, found: Found) -> Finding:
    return Finding(pool=pool, check=check.id, title=check.title, outcome=found.outcome, seen=found.seen, fix=found.fix)
