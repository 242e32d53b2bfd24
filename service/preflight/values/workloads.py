"""What the chart makes pods of: pools, and what is switched on beside them."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.preflight.values.demand import Resources, asked_of, pods_of, requests_of_pod
from service.preflight.values.load_values import Plan
from service.preflight.values.pool_values import Resources as GivenResources


@dataclass(frozen=True)
class Workload:
    name: str
    pods: int
    """At one time, a rollout's spare one included."""
    requests: Resources
    """Of a pod."""
    resources: GivenResources
    """Of each of its containers, GPUs aside."""
    where: str
    """Stands in the values."""


def workloads(plan: Plan) -> Iterator[Workload]:
    values = plan.values
    for pool in plan.pools:
        yield Workload(f"pool {pool.name}", pods_of(pool), requests_of_pod(pool), pool.resources, "the pool's resources")
    if values.inference_pool.enabled:
        picker = values.inference_pool.resources
        # Its rollout starts a new one before an old one ends.
        pods = (values.inference_pool.replicas + 1) * len(plan.pools)
        yield Workload("the endpoint picker", pods, asked_of(picker), picker, "inferencePool.resources")
    tools, pods = values.tools.resources, 0
    if values.check.enabled:  # `helm test` takes one pool after the other.
        pods += 1
    if values.load_test.enabled:  # Locust's master, and its workers.
        pods += 1 + values.load_test.workers
    if pods:
        yield Workload("check and load test", pods, asked_of(tools), tools, "tools.resources")
