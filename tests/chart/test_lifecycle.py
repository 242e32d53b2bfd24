"""Start-up, deadlines, probes and grace periods of the rendered objects, in seconds."""

import re
from typing import Any

import pytest

from service.preflight.values.pool_values import Pool
from tests.chart.pools import config_of, each_pool, server
from tests.chart.rendering import MINIMAL, NAMESPACE, Json, Rendered, merged, render, scenario


def budget_s(probe: Json) -> int:
    return int(probe.get("initialDelaySeconds", 0) + probe["failureThreshold"] * probe["periodSeconds"])


def minimal(**pool_defaults: Any) -> Rendered:
    return render(merged(MINIMAL, {"poolDefaults": pool_defaults}))


@each_pool
def test_the_grace_is_enough_for_lameduck_drain_and_stop(name: str, pool: Pool) -> None:
    rendered, lifecycle = scenario(name), pool.lifecycle
    config, grace_s = config_of(rendered, pool.name), rendered.server(pool.name).spec["terminationGracePeriodSeconds"]
    assert (config["lameduck_s"], config["drain_timeout_s"]) == (lifecycle.lameduck_seconds, lifecycle.drain_seconds)
    assert grace_s >= config["lameduck_s"] + config["drain_timeout_s"] + lifecycle.stop_seconds + 5


@each_pool
def test_nobody_delays_the_stop(name: str, pool: Pool) -> None:
    assert "lifecycle" not in server(scenario(name).server(pool.name))


@each_pool
def test_startup_may_take_what_it_may_take(name: str, pool: Pool) -> None:
    probe = server(scenario(name).server(pool.name))["startupProbe"]
    assert 0 <= budget_s(probe) - pool.lifecycle.startup_seconds < probe["periodSeconds"]


@each_pool
def test_a_rollout_is_given_up_after_startup_and_download(name: str, pool: Pool) -> None:
    owner = scenario(name).server(pool.name).owner
    if owner["kind"] == "LeaderWorkerSet":
        pytest.skip("a LeaderWorkerSet has no such deadline")
    assert owner["spec"]["progressDeadlineSeconds"] == pool.lifecycle.startup_seconds + pool.lifecycle.download_seconds


def test_half_an_hour_to_start_and_ten_minutes_to_download_by_default() -> None:
    rendered = render(MINIMAL)
    assert budget_s(server(rendered.server("default"))["startupProbe"]) == 1800
    assert rendered.server("default").owner["spec"]["progressDeadlineSeconds"] == 2400


@each_pool
def test_liveness_cannot_kill_a_slow_load_and_readiness_does_not_flap(name: str, pool: Pool) -> None:
    """Liveness waits for the startup probe, uses a path that is 200 during loading, and tolerates a busy event loop."""
    container = server(scenario(name).server(pool.name))
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert budget_s(container["livenessProbe"]) >= 60
    assert container["livenessProbe"]["timeoutSeconds"] >= 5
    assert container["readinessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert container["readinessProbe"]["failureThreshold"] >= 3
    assert container["readinessProbe"]["timeoutSeconds"] >= 3


@pytest.mark.parametrize(("has_spare", "surge", "unavailable"), [(False, 0, 1), (True, 1, 0)])
@pytest.mark.parametrize("nodes", [1, 2])
def test_a_rollout_needs_no_gpu_but_the_spare_one(has_spare: bool, surge: int, unavailable: int, nodes: int) -> None:
    spec = minimal(rollout={"spareGpus": has_spare}, nodes=nodes).server("default").owner["spec"]
    rollout = spec["strategy"]["rollingUpdate"] if nodes == 1 else spec["rolloutStrategy"]["rollingUpdateConfiguration"]
    assert rollout == {"maxSurge": surge, "maxUnavailable": unavailable}


@each_pool
def test_one_pod_at_a_time_may_be_evicted_and_a_sick_one_always(name: str, pool: Pool) -> None:
    budget = scenario(name).one("PodDisruptionBudget", scenario(name).server(pool.name).owner["metadata"]["name"])
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_replicas_are_left_to_the_autoscaler() -> None:
    values = merged(MINIMAL, {"prometheus": {"url": "http://prometheus:9090"}})
    scaled = merged(values, {"poolDefaults": {"autoscaling": {"enabled": True, "turnsPerSecond": 5}}})
    assert "replicas" not in render(scaled).server("default").owner["spec"]
    assert render(values).server("default").owner["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("values", "install_s", "upgrade_s"),
    [
        # 1800 s to start, 600 to download, and 70 for the old pod to end.
        ({}, 2400, 2470),
        ({"poolDefaults": {"replicas": 3}}, 2400, 3 * 2470),
        ({"poolDefaults": {"lifecycle": {"startupSeconds": 3600, "downloadSeconds": 0}}}, 3600, 3670),
    ],
)
def test_the_notes_say_what_wait_needs(values: Json, install_s: int, upgrade_s: int) -> None:
    lines = [line for line in render(merged(MINIMAL, values)).notes.splitlines() if "--timeout" in line]
    timeouts = [int(seconds) for seconds in re.findall(r"(\d+)s\b", " ".join(lines))]
    assert timeouts, "the notes name no --timeout"
    assert timeouts[0] >= install_s
    assert timeouts[-1] >= upgrade_s


@pytest.mark.parametrize(
    ("values", "minutes"),
    [
        # 70 s for the old pod to end, 1800 to start, 600 to download.
        ({}, 32),
        ({"model": {"name": "a/b"}}, 42),
        ({"model": {"name": "a/b"}, "lifecycle": {"startupSeconds": 530, "downloadSeconds": 1}}, 11),
        ({"replicas": 2}, None),
        ({"rollout": {"spareGpus": True}}, None),
        ({"autoscaling": {"enabled": True, "turnsPerSecond": 5, "minReplicas": 1}}, 32),
        ({"autoscaling": {"enabled": True, "turnsPerSecond": 5, "minReplicas": 2}}, None),
    ],
)
def test_the_notes_say_where_a_rollout_is_an_outage(values: Json, minutes: int | None) -> None:
    """Preflight has the same minutes: tests/preflight/checks/test_pool.py."""
    whole = merged(MINIMAL, {"prometheus": {"url": "http://prometheus:9090"}, "poolDefaults": values})
    found = re.findall(r"outage of up to about (\d+) min", render(whole).notes)
    assert found == ([] if minutes is None else [str(minutes)])


@pytest.mark.parametrize(
    ("nodes", "command"), [(1, "rollout status deployment/{}"), (2, "wait --for=condition=Available leaderworkerset/{}")]
)
def test_the_notes_have_a_command_that_waits_where_helm_does_not(nodes: int, command: str) -> None:
    """Helm 3 treats a Deployment as ready while it lacks maxUnavailable pods. With one replica that is all of them."""
    notes = minimal(nodes=nodes, replicas=2).notes
    assert f"kubectl -n {NAMESPACE} {command.format('voice-firstword-default')} --timeout={2 * 2470}s" in notes
