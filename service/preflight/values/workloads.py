"""Workloads that the chart creates: the pools, and the enabled features that have pods of their own."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.preflight.values.demand import Resources, asked_of, pods_of, requests_of_pod
from service.preflight.values.load_values import Plan
from service.preflight.values.pool_values import Resources as GivenResources


@dataclass(frozen=True)
class Workload:
    name: str
    pods: int
    """Highest number of pods at one time, with the spare pod of a rollout."""
    requests: Resources
    """Requests of one pod."""
    resources: GivenResources
    """Resources of each of its containers, without GPUs."""
    where: str
    """The values that set the resources."""


def workloads(plan: Plan) -> Iterator[Workload]:
    values = plan.values
    for pool in plan.pools:
        yield Workload(f"pool {pool.name}", pods_of(pool), requests_of_pod(pool), pool.resources, "the pool's resources")
    if values.inference_pool.enabled:
        picker = values.inference_pool.resources
        # Its rollout starts a new pod before an old one ends.
        pods = (values.inference_pool.replicas + 1) * len(plan.pools)
        yield Workload("the endpoint picker", pods, asked_of(picker), picker, "inferencePool.resources")
    tools, pods = values.tools.resources, 0
    if values.check.enabled:  # `helm test` checks one pool after the other.
        pods += 1
    if values.load_test.enabled:  # Locust's master and its workers.
        pods += 1 + values.load_test.workers
    if pods:
        yield Workload("check and load test", pods, asked_of(tools), tools, "tools.resources")
