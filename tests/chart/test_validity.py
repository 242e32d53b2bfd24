"""Every scenario passes Helm's lint and the schemas of Kubernetes and of the operators."""

import json
from collections.abc import Iterable

import helm_python
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
from kubernetes_validate.utils import all_versions, major_minor  # type: ignore[import-untyped]

from tests.chart.crds import CRDS, MISSING, problems, schemas
from tests.chart.pools import each_scenario
from tests.chart.rendering import FOLDER, NAMESPACE, RELEASE, SCENARIOS, Json, Rendered, merged, render, scenario, values_of

CORE = frozenset({"v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"})
OLDEST_MINOR = 31
MINORS = sorted({int(version.split(".")[1]) for version in map(major_minor, all_versions())} - set(range(OLDEST_MINOR)))
STANDARD_LABELS = {
    "app.kubernetes.io/name": "firstword",
    "app.kubernetes.io/instance": RELEASE,
    "app.kubernetes.io/managed-by": "Helm",
}


def everything() -> list[Json]:
    """Return each object of each scenario once, and the pods of custom resources as Pod objects."""
    documents = [document for name in SCENARIOS for document in scenario(name).objects]
    documents += [
        {"apiVersion": "v1", "kind": "Pod", **pod.template}
        for name in SCENARIOS
        for pod in scenario(name).pods
        if pod.owner["apiVersion"] not in CORE
    ]
    return list({json.dumps(document, sort_keys=True): document for document in documents}.values())


def core(documents: Iterable[Json]) -> list[Json]:
    return [document for document in documents if document["apiVersion"] in CORE]


def test_the_oldest_and_the_newest_minor_are_known() -> None:
    assert MINORS[0] == OLDEST_MINOR
    assert major_minor(kubernetes_validate.latest_version()) == f"1.{MINORS[-1]}"


@each_scenario
def test_helm_lint_finds_nothing(name: str) -> None:
    result = helm_python.lint(FOLDER, values_of(name), strict=True, namespace=NAMESPACE, kube_version=f"v1.{OLDEST_MINOR}.0")
    assert result["errors"] == []
    assert [message for message in result["messages"] if message["severity"] > 1] == []


@each_scenario
def test_an_upgrade_renders_what_an_install_does(name: str) -> None:
    values = values_of(name)
    if values["keys"].get("generate"):
        pytest.skip("a generated key needs the cluster's Secret on upgrade: test_keys.py")
    assert _but_hooks_and_jobs(render(values, is_upgrade=True).objects) == _but_hooks_and_jobs(scenario(name).objects)


def _but_hooks_and_jobs(documents: Iterable[Json]) -> list[Json]:
    return [document for document in documents if document["kind"] not in ("Job", "Pod")]


@pytest.mark.parametrize("minor", MINORS)
def test_kubernetes_takes_every_core_object(minor: int) -> None:
    for document in core(everything()):
        kubernetes_validate.validate(document, f"1.{minor}", strict=True)


@pytest.mark.skipif(not CRDS.is_dir(), reason=MISSING)
def test_operators_take_every_custom_resource() -> None:
    documents = [document for document in everything() if document["apiVersion"] not in CORE]
    assert {document["kind"] for document in documents} >= {"HTTPRoute", "ScaledObject", "PodMonitor", "LeaderWorkerSet"}
    for document in documents:
        assert (document["apiVersion"], document["kind"]) in schemas(), "render only kinds that a schema is there for"
        assert problems(document) == [], document["metadata"]["name"]


@each_scenario
def test_every_object_has_its_namespace_and_the_usual_labels(name: str) -> None:
    for document in scenario(name).objects:
        metadata = document["metadata"]
        assert metadata["namespace"] == NAMESPACE, metadata["name"]
        assert metadata["labels"].items() >= STANDARD_LABELS.items(), metadata["name"]
        assert {"app.kubernetes.io/version", "helm.sh/chart"} <= metadata["labels"].keys()


def names(rendered: Rendered) -> list[tuple[str, str]]:
    return sorted((document["kind"], document["metadata"]["name"]) for document in rendered.objects)


@each_scenario
def test_no_two_objects_have_one_name(name: str) -> None:
    assert sorted(set(names(scenario(name)))) == names(scenario(name))


def test_pools_may_be_named_like_parts_of_the_chart() -> None:
    words = (
        "keys server picker tools download load-test loadtest check worker nodes server-nodes a a-check a-nodes rules recording"
    )
    values = values_of("kitchen-sink") | {"pools": [{"name": word, "hostname": f"{word}.example.com"} for word in words.split()]}
    values["gateway"]["splits"][0]["shares"] = [{"pool": "a", "weight": 1}]
    rendered = render(merged(values, {"loadTest": {"pool": "a"}}))
    assert sorted(set(names(rendered))) == names(rendered)


@pytest.mark.parametrize("release", ["firstword", "my-firstword", "r" * 31])
def test_names_and_labels_are_short_enough_and_dashboards_find_them(release: str) -> None:
    """The last name is the longest that the load test allows."""
    rendered = render(values_of("kitchen-sink"), name=release)
    for document in rendered.objects:
        assert len(document["metadata"]["name"]) <= 63
        labels = document["metadata"]["labels"].values()
        assert max(map(len, labels)) <= 63, document["metadata"]["name"]
    for document in [*rendered.of("Deployment"), *rendered.of("LeaderWorkerSet")]:
        pool = document["metadata"]["labels"].get("firstword.io/pool")
        if document["metadata"]["labels"].get("app.kubernetes.io/component") == "server":
            expected = release if release.endswith("firstword") else f"{release}-firstword"
            assert document["metadata"]["name"] == f"{expected}-{pool}"
