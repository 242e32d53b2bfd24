"""References by label and by name. Each selector matches exactly the pods that it is for."""

from collections.abc import Iterable, Mapping

import pytest

from tests.chart.pools import each_scenario, pools_of
from tests.chart.rendering import NAMESPACE, RELEASE, Json, Pod, Rendered, merged, render, scenario, values_of


def is_selected(selector: Json, labels: Mapping[str, str]) -> bool:
    """Match as Kubernetes does. An empty selector matches everything."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        _holds(each, labels) for each in selector.get("matchExpressions", ())
    )


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", ())
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]  # fmt: skip


def found(pods: Iterable[Pod], selector: Json) -> set[str]:
    return {pod.name for pod in pods if is_selected(selector, pod.labels)}


def servers(rendered: Rendered, pool: str) -> set[str]:
    return {rendered.server(pool).name}


def by_pool(documents: Iterable[Json]) -> dict[str, Json]:
    return {document["metadata"]["labels"]["firstword.io/pool"]: document for document in documents}


def pool_services(rendered: Rendered) -> dict[str, Json]:
    component = "app.kubernetes.io/component"
    return by_pool(each for each in rendered.of("Service") if each["spec"]["selector"].get(component) == "server")


@each_scenario
def test_each_pool_has_its_own_service_and_budget(name: str) -> None:
    rendered = scenario(name)
    services = pool_services(rendered)
    for pool in pools_of(values_of(name)):
        assert found(rendered.pods, {"matchLabels": services[pool.name]["spec"]["selector"]}) == servers(rendered, pool.name)
        budget = rendered.one("PodDisruptionBudget", rendered.server(pool.name).owner["metadata"]["name"])
        # The eviction of a worker pod ends the replica too.
        of_replicas = {pod.name for pod in rendered.pods if pod.owner is rendered.server(pool.name).owner}
        assert len(of_replicas) == (1 if pool.nodes == 1 else 2)
        assert found(rendered.pods, budget["spec"]["selector"]) == of_replicas


@pytest.mark.parametrize("replicas", [1, 2])
def test_pickers_are_spread_and_leave_one_at_a_time(replicas: int) -> None:
    rendered = render(merged(values_of("kitchen-sink"), {"inferencePool": {"replicas": replicas}}))
    pickers = [pod for pod in rendered.pods if pod.role == "picker"]
    for pod in pickers:
        (spread,) = pod.spec["topologySpreadConstraints"]
        assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
        assert found(rendered.pods, spread["labelSelector"]) == {pod.name}
        # With one replica there is no budget: it would either never or always allow an eviction.
        name = pod.owner["metadata"]["name"]
        budgets = [each for each in rendered.of("PodDisruptionBudget") if each["metadata"]["name"] == name]
        assert len(budgets) == (1 if replicas > 1 else 0)
        for budget in budgets:
            assert budget["spec"]["maxUnavailable"] == 1
            assert found(rendered.pods, budget["spec"]["selector"]) == {pod.name}
    assert len(pickers) == 4


def test_pickers_run_where_the_values_say() -> None:
    said = values_of("kitchen-sink")["inferencePool"]
    for pod in (pod for pod in scenario("kitchen-sink").pods if pod.role == "picker"):
        for key in ("nodeSelector", "tolerations", "priorityClassName"):
            assert pod.spec[key] == said[key]


@each_scenario
def test_workloads_own_their_pods_alone(name: str) -> None:
    """No later version may change these labels, because selectors are immutable."""
    rendered = scenario(name)
    for document in rendered.of("Deployment"):
        selector = document["spec"]["selector"]
        assert found(rendered.pods, selector) == {pod.name for pod in rendered.pods if pod.owner is document}
        assert not selector["matchLabels"].keys() & {"app.kubernetes.io/version", "helm.sh/chart", "app.kubernetes.io/managed-by"}


def test_two_releases_in_a_namespace_leave_each_other_alone() -> None:
    first, second = (render(values_of("kitchen-sink"), name=name) for name in ("one", "two"))
    selectors = [document["spec"]["selector"] for document in (*first.of("Deployment"), *first.of("PodDisruptionBudget"))]
    selectors += [{"matchLabels": document["spec"]["selector"]} for document in first.of("Service")]
    selectors += [document["spec"]["podSelector"] for document in first.of("NetworkPolicy")]
    selectors += [document["spec"]["selector"] for document in (*first.of("PodMonitor"), *first.of("InferencePool"))]
    assert len(selectors) > 15
    for selector in selectors:
        assert found(first.pods, selector)
        assert not found(second.pods, selector), selector


@each_scenario
def test_prometheus_scrapes_all_servers_and_nothing_else(name: str) -> None:
    rendered = scenario(name)
    for monitor in rendered.of("PodMonitor"):
        assert found(rendered.pods, monitor["spec"]["selector"]) == {pod.name for pod in rendered.pods if pod.role == "server"}


@each_scenario
def test_the_autoscaler_scales_its_pool(name: str) -> None:
    rendered = scenario(name)
    scaled = by_pool(rendered.of("ScaledObject"))
    assert set(scaled) == {pool.name for pool in pools_of(values_of(name)) if pool.autoscaling.enabled}
    for pool, document in scaled.items():
        owner, target = rendered.server(pool).owner, document["spec"]["scaleTargetRef"]
        assert (target["apiVersion"], target["kind"], target["name"]) == (
            owner["apiVersion"], owner["kind"], owner["metadata"]["name"]
        )  # fmt: skip


def backend_pods(rendered: Rendered, name: str, kind: str, port: int | str | None) -> set[str]:
    """Return the pods behind a route's backend: a Service with that port, or an InferencePool."""
    document = rendered.one(kind, name)
    if kind == "InferencePool":
        return found(rendered.pods, document["spec"]["selector"])
    assert any(port in (each["port"], each["name"]) for each in document["spec"]["ports"])
    return found(rendered.pods, {"matchLabels": document["spec"]["selector"]})


@each_scenario
def test_a_hostname_leads_to_its_pool(name: str) -> None:
    rendered, values = scenario(name), values_of(name)
    routes = {route["spec"]["hostnames"][0]: route for route in rendered.of("HTTPRoute")}
    if not values.get("gateway", {}).get("enabled"):
        assert not routes
        return
    expected = {pool.hostname: servers(rendered, pool.name) for pool in pools_of(values)}
    for split in values["gateway"].get("splits", ()):
        expected[split["hostname"]] = set().union(*(servers(rendered, share["pool"]) for share in split["shares"]))
    assert set(routes) == set(expected)
    for hostname, route in routes.items():
        assert route["spec"]["parentRefs"] == values["gateway"]["parentRefs"]
        for rule in route["spec"]["rules"]:
            reached = [
                backend_pods(rendered, to["name"], to.get("kind", "Service"), to.get("port")) for to in rule["backendRefs"]
            ]
            assert set().union(*reached) == expected[hostname]


def test_a_split_has_its_weights() -> None:
    (route,) = (each for each in scenario("canary").of("HTTPRoute") if each["spec"]["hostnames"] == ["trial.voice.example.com"])
    for rule in route["spec"]["rules"]:
        weights = {each["name"]: each["weight"] for each in rule["backendRefs"]}
        assert weights == {f"{RELEASE}-firstword-stable": 19, f"{RELEASE}-firstword-canary": 1}


@each_scenario
def test_an_ingress_leads_to_its_pool(name: str) -> None:
    rendered, values = scenario(name), values_of(name)
    ingresses = rendered.of("Ingress")
    assert len(ingresses) == (len(pools_of(values)) if values.get("ingress", {}).get("enabled") else 0)
    hosts = {pool.hostname: pool.name for pool in pools_of(values)}
    for document in ingresses:
        (rule,) = document["spec"]["rules"]
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]
            (port,) = service["port"].values()
            reached = backend_pods(rendered, service["name"], "Service", port)
            assert reached == servers(rendered, hosts[rule["host"]])


@each_scenario
def test_a_picker_picks_among_its_pool(name: str) -> None:
    rendered = scenario(name)
    for document in rendered.of("InferencePool"):
        pool = document["metadata"]["labels"]["firstword.io/pool"]
        assert found(rendered.pods, document["spec"]["selector"]) == servers(rendered, pool)
        picker = rendered.one("Service", document["spec"]["endpointPickerRef"]["name"])
        behind = [pod for pod in rendered.pods if is_selected({"matchLabels": picker["spec"]["selector"]}, pod.labels)]
        assert [pod.role for pod in behind] == ["picker"]
        assert document["metadata"]["name"] in str(behind[0].containers[0]["args"])


@each_scenario
def test_nothing_reaches_a_pod_but_through_a_hole(name: str) -> None:
    """A policy for both directions selects every pod."""
    rendered = scenario(name)
    for pod in rendered.pods:
        policies = [each["spec"] for each in rendered.of("NetworkPolicy") if is_selected(each["spec"]["podSelector"], pod.labels)]
        assert {way for policy in policies for way in policy["policyTypes"]} == {"Ingress", "Egress"}, pod.name


def allows(rendered: Rendered, to: Pod, source: Pod, port: int) -> bool:
    """Check whether the policies of both pods allow a connection from `source`."""
    policies = [each["spec"] for each in rendered.of("NetworkPolicy")]
    out = [rule for policy in policies if is_selected(policy["podSelector"], source.labels) for rule in policy.get("egress", ())]
    into = [rule for policy in policies if is_selected(policy["podSelector"], to.labels) for rule in policy.get("ingress", ())]
    return any(_allows(rule, "to", to, port) for rule in out) and any(_allows(rule, "from", source, port) for rule in into)


def _allows(rule: Json, side: str, other: Pod, port: int) -> bool:
    has_port = not rule.get("ports") or port in {each.get("port") for each in rule["ports"]}
    # Only peers in the release's namespace.
    peers = [peer["podSelector"] for peer in rule.get(side, ()) if "podSelector" in peer and "namespaceSelector" not in peer]
    return has_port and (not rule.get(side) or any(is_selected(peer, other.labels) for peer in peers))


def test_policies_let_through_what_the_pods_need() -> None:
    rendered = scenario("kitchen-sink")
    roles = {role: [pod for pod in rendered.pods if pod.role == role] for role in ("server", "worker", "picker")}
    checks = [pod for pod in rendered.pods if pod.labels["app.kubernetes.io/component"] == "check"]
    load = [pod for pod in rendered.pods if pod.labels["app.kubernetes.io/component"] == "load-test"]
    assert len(roles["server"]) == len(roles["picker"]) == len(checks) == 4 and len(load) == 2
    for to in roles["server"]:
        assert all(allows(rendered, to, source, 8000) for source in (*checks, *load))
        assert all(allows(rendered, to, source, 9090) for source in roles["picker"])
        assert not any(allows(rendered, to, source, 9090) for source in checks)
    leader, worker = rendered.server("wide"), roles["worker"][0]
    assert allows(rendered, leader, worker, 29500) and allows(rendered, worker, leader, 29500)
    assert not allows(rendered, worker, rendered.server("small"), 29500)
    assert allows(rendered, load[0], load[1], 5557)


def ports_out(rendered: Rendered, pod: Pod, to: Json | None = None) -> set[tuple[str, int]]:
    """Return the ports to which a pod may connect: at any peer, or at the peer `to` of a rule."""
    policies = [each["spec"] for each in rendered.of("NetworkPolicy") if is_selected(each["spec"]["podSelector"], pod.labels)]
    rules = [rule for policy in policies for rule in policy.get("egress", ())]
    fitting = [rule for rule in rules if rule.get("to") == ([to] if to else None)]
    return {(each["protocol"], each["port"]) for rule in fitting for each in rule.get("ports", ())}


@each_scenario
def test_every_pod_asks_for_names_and_the_picker_for_the_api(name: str) -> None:
    """A policy applies to the port behind the Service, and OpenShift's DNS pods listen on 5353."""
    for pod in scenario(name).pods:
        out = ports_out(scenario(name), pod)
        assert out >= {(protocol, port) for protocol in ("UDP", "TCP") for port in (53, 5353)}, pod.name
        assert ((("TCP", 443) in out) and (("TCP", 6443) in out)) or pod.role != "picker"


def test_what_the_values_let_out_is_let_out_of_every_pod() -> None:
    rendered = scenario("kitchen-sink")
    (rule,) = values_of("kitchen-sink")["networkPolicy"]["egress"]
    assert {pod.labels["app.kubernetes.io/component"] for pod in rendered.pods} == {
        "server", "worker", "picker", "check", "load-test"
    }  # fmt: skip
    for pod in rendered.pods:
        assert ports_out(rendered, pod, rule["to"][0]) == {("TCP", 4317)}, pod.name


@each_scenario
def test_everything_named_is_there(name: str) -> None:
    """Service accounts, ConfigMaps, claims and Secrets of the chart, or Secrets that the values name."""
    rendered = scenario(name)
    there = {kind: {each["metadata"]["name"] for each in rendered.of(kind)} for kind in ("ServiceAccount", "ConfigMap", "Secret")}
    claims = {each["metadata"]["name"] for each in rendered.of("PersistentVolumeClaim")}
    for pod in rendered.pods:
        assert pod.spec["serviceAccountName"] in there["ServiceAccount"], pod.name
        for volume in pod.spec.get("volumes", ()):
            if "configMap" in volume:
                assert volume["configMap"]["name"] in there["ConfigMap"], pod.name
            if claim := volume.get("persistentVolumeClaim"):
                assert claim["claimName"] in claims | {"models"}, pod.name
    assert all(subject["namespace"] == NAMESPACE for each in rendered.of("RoleBinding") for subject in each["subjects"])
