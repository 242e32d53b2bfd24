"""Who selects whom: by labels, by name. Each selector finds the pods it is for, and none else."""

from collections.abc import Iterable, Mapping

from tests.chart.pools import each_scenario, pools_of
from tests.chart.rendering import NAMESPACE, RELEASE, Json, Pod, Rendered, render, scenario, values_of


def is_selected(selector: Json, labels: Mapping[str, str]) -> bool:
    """As Kubernetes matches; an empty selector finds everything."""
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
    services, budgets = pool_services(rendered), by_pool(rendered.of("PodDisruptionBudget"))
    for pool in pools_of(values_of(name)):
        assert found(rendered.pods, {"matchLabels": services[pool.name]["spec"]["selector"]}) == servers(rendered, pool.name)
        assert found(rendered.pods, budgets[pool.name]["spec"]["selector"]) == servers(rendered, pool.name)


@each_scenario
def test_workloads_own_their_pods_alone(name: str) -> None:
    """And by labels that no later version changes: selectors are immutable."""
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
    """Behind a route's backend: a Service with that port, or an InferencePool."""
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
    """Every pod is under a policy for both ways."""
    rendered = scenario(name)
    for pod in rendered.pods:
        policies = [each["spec"] for each in rendered.of("NetworkPolicy") if is_selected(each["spec"]["podSelector"], pod.labels)]
        assert {way for policy in policies for way in policy["policyTypes"]} == {"Ingress", "Egress"}, pod.name


def ways_in(rendered: Rendered, to: Pod, source: Pod, port: int) -> bool:
    """Whether policies let `source` open a connection: out of its own, and into the other's."""
    policies = [each["spec"] for each in rendered.of("NetworkPolicy")]
    out = [rule for policy in policies if is_selected(policy["podSelector"], source.labels) for rule in policy.get("egress", ())]
    into = [rule for policy in policies if is_selected(policy["podSelector"], to.labels) for rule in policy.get("ingress", ())]
    return any(_allows(rule, "to", to, port) for rule in out) and any(_allows(rule, "from", source, port) for rule in into)


def _allows(rule: Json, side: str, other: Pod, port: int) -> bool:
    has_port = not rule.get("ports") or port in {each.get("port") for each in rule["ports"]}
    # Of the peers, those of the release's own namespace.
    peers = [peer["podSelector"] for peer in rule.get(side, ()) if "podSelector" in peer and "namespaceSelector" not in peer]
    return has_port and (not rule.get(side) or any(is_selected(peer, other.labels) for peer in peers))


def test_policies_let_through_what_the_pods_need() -> None:
    rendered = scenario("kitchen-sink")
    roles = {role: [pod for pod in rendered.pods if pod.role == role] for role in ("server", "worker", "picker")}
    checks = [pod for pod in rendered.pods if pod.labels["app.kubernetes.io/component"] == "check"]
    load = [pod for pod in rendered.pods if pod.labels["app.kubernetes.io/component"] == "load-test"]
    assert len(roles["server"]) == len(roles["picker"]) == len(checks) == 4 and len(load) == 2
    for to in roles["server"]:
        assert all(ways_in(rendered, to, source, 8000) for source in (*checks, *load))
        assert all(ways_in(rendered, to, source, 9090) for source in roles["picker"])
        assert not any(ways_in(rendered, to, source, 9090) for source in checks)
    leader, worker = rendered.server("wide"), roles["worker"][0]
    assert ways_in(rendered, leader, worker, 29500) and ways_in(rendered, worker, leader, 29500)
    assert not ways_in(rendered, worker, rendered.server("small"), 29500)
    assert ways_in(rendered, load[0], load[1], 5557)


@each_scenario
def test_everything_named_is_there(name: str) -> None:
    """Service accounts, ConfigMaps and claims of ours; Secrets of ours, or those that the values name."""
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
