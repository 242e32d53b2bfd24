"""The dashboards' queries: valid PromQL on metrics and labels that exist, narrowed by the operator's choices."""

import re
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import Call, MatrixSelector, VectorSelector

from deploy.dashboards import filters, queries
from deploy.dashboards.files import documents
from deploy.dashboards.names import VLLM_METRICS
from service.telemetry.metrics import Metrics
from tests.support.promql import matched, nodes, selectors

EXPOSITION = Path(__file__).parent / "exposition"
QUERIES = queries.all_queries()
SCRAPED = {"job", "instance", "namespace", "pod", "release", "pool"}
"""Labels that the scraper adds to our metrics."""

each_query = pytest.mark.parametrize("query", QUERIES, ids=lambda query: f"{query.dashboard}: {query.panel} {query.ref_id}")


def model_registry() -> list[Metric]:
    metrics = Metrics("the-model")
    metrics.add_tenant("a-tenant")
    metrics.describe_build(version="1", engine="vllm", model="the-model", revision="abc", fingerprint="def")
    return list(metrics.registry.collect())


REGISTRY = model_registry()
SAMPLES = [sample for family in REGISTRY for sample in family.samples]
COUNTERS = {sample.name for family in REGISTRY for sample in family.samples if family.type in ("counter", "histogram")} | {
    name for name in VLLM_METRICS if name.endswith("_total")
}


@each_query
def test_every_metric_and_label_of_ours_exists(query: queries.PanelQuery) -> None:
    for selector in selectors(query.expr):
        if not str(selector.name).startswith("firstword_"):
            continue
        samples = [sample for sample in SAMPLES if sample.name == selector.name]
        assert samples, f"{selector.name} is not in the metrics registry"
        for label, value in matched(selector).items():
            known = {sample.labels.get(label) for sample in samples}
            assert label in SCRAPED or known != {None}, f"{selector.name} has no label {label}"
            if value != ".*":
                assert set(value.split("|")) <= known, f"{selector.name}: {label} is never {value}"


@each_query
def test_what_is_grouped_by_is_a_label_of_ours(query: queries.PanelQuery) -> None:
    ours = [selector for selector in selectors(query.expr) if str(selector.name).startswith("firstword_")]
    grouped = {label for labels in re.findall(r" by \(([^)]*)\)", query.expr) for label in labels.split(", ")}
    known = SCRAPED | {label for sample in SAMPLES for label in sample.labels if sample.name in {one.name for one in ours}}
    if ours:
        assert grouped <= known


@each_query
def test_a_counter_is_never_shown_raw(query: queries.PanelQuery) -> None:
    """A counter counts from the start of the process, so only its growth has a meaning. A histogram's series are counters too."""
    used = [str(selector.name) for selector in selectors(query.expr)]
    assert sorted(filter(is_counter, used)) == sorted(filter(is_counter, growing(query.expr)))


def is_counter(name: str) -> bool:
    return name in COUNTERS or name.endswith("_total")


def growing(expr: str) -> list[str]:
    calls = [node for node in nodes(expr) if isinstance(node, Call) and node.func.name in ("rate", "increase")]
    ranges = [argument for call in calls for argument in call.args if isinstance(argument, MatrixSelector)]
    return [str(matrix.vector_selector.name) for matrix in ranges]


def test_the_check_for_raw_counters_finds_one() -> None:
    lifetime_average = "firstword_ttft_seconds_sum / firstword_ttft_seconds_count"
    assert [is_counter(str(one.name)) for one in selectors(lifetime_average)] == [True, True]
    assert growing(lifetime_average) == []
    assert growing("rate(firstword_ttft_seconds_sum[1m])") == ["firstword_ttft_seconds_sum"]


def test_every_metric_of_ours_is_on_a_dashboard() -> None:
    shown = {selector.name for query in QUERIES for selector in selectors(query.expr)}
    missing = [family.name for family in REGISTRY if not shown & {sample.name for sample in family.samples}]
    assert missing == []


def test_the_engine_s_metrics_are_just_those_that_are_listed() -> None:
    used = {str(selector.name) for query in QUERIES for selector in selectors(query.expr)}
    assert {name for name in used if name.startswith("vllm:")} == set(VLLM_METRICS)


def test_every_query_is_narrowed_by_what_is_chosen() -> None:
    for document in documents():
        for panel in queries.panels(document):
            for target in panel["targets"]:
                for selector in selectors(target["expr"].replace("$__rate_interval", "1m")):
                    values = " ".join(matcher.value for matcher in selector.matchers.matchers)
                    assert {"$namespace", "$release", "$pool"} <= set(re.findall(r"\$\w+", values)), panel["title"]
                    labels = {label for sample in SAMPLES if sample.name == selector.name for label in sample.labels}
                    assert "model" not in labels or matched(selector)["model"] == "$model", panel["title"]
                    if "tenant" in labels and document["uid"].endswith("voice-slo"):
                        assert matched(selector)["tenant"] == "$tenant", panel["title"]
                    if str(selector.name).startswith("vllm:"):
                        assert matched(selector)["model_name"] == "$model", panel["title"]


def test_what_others_expose_too_is_asked_of_our_pods_only() -> None:
    for query in QUERIES:
        for selector in selectors(query.expr):
            if str(selector.name).startswith(("vllm:", "process_")):
                assert matched(selector)["job"] == "firstword", query


def exposed(file: str) -> list[tuple[str, dict[str, str]]]:
    families = text_string_to_metric_families((EXPOSITION / file).read_text())
    return [(sample.name, sample.labels) for family in families for sample in family.samples]


@pytest.mark.parametrize(
    ("prefix", "file"),
    [("kube_", "kube-state-metrics.prom"), ("DCGM_", "dcgm-exporter.prom")],
    ids=["kube-state-metrics", "dcgm"],
)
def test_queries_of_others_metrics_find_ours_in_what_they_expose(prefix: str, file: str) -> None:
    samples = exposed(file)
    # The same series from a scraper that keeps `pod` and `namespace` for the exporter's own pod.
    moved = {"namespace": "exported_namespace", "pod": "exported_pod", "container": "exported_container"}
    samples += [(name, {moved.get(label, label): value for label, value in labels.items()}) for name, labels in samples]
    asked = {str(one): one for query in QUERIES for one in selectors(query.expr) if str(one.name).startswith(prefix)}
    assert asked
    for selector in asked.values():
        found = [labels for name, labels in samples if name == selector.name and fits(labels, selector)]
        assert found, selector
        assert not [labels for labels in found if "booking" in str(labels)], selector


def fits(labels: dict[str, str], selector: VectorSelector) -> bool:
    return all(re.fullmatch(matcher.value, labels.get(matcher.name, "")) for matcher in selector.matchers.matchers)


THERE = ("firstword-h100", "voice-firstword-h100", "voice-firstword-h100-big", "voice-eu-firstword-h100", "booking-api")


@pytest.mark.parametrize(
    ("release", "pool", "found"),
    [
        ("firstword", "h100", THERE[:1]),
        ("voice", "h100", THERE[1:2]),
        ("voice", "(h100|h100-big)", THERE[1:3]),
        ("(firstword|voice-eu)", "h100", (THERE[0], THERE[3])),
        (".*", "h100", (*THERE[:2], THERE[3])),
        (".*", ".*", THERE[:4]),
    ],
)
def test_a_release_and_a_pool_are_found_by_name(release: str, pool: str, found: tuple[str, ...]) -> None:
    named = {
        "deployment": (filters.DEPLOYMENT, "{}"),
        "pod": (filters.named_pods(), "{}-6d8f7c9b5d-4xk2p"),
        "horizontalpodautoscaler": (filters.AUTOSCALER, "keda-hpa-{}"),
    }
    for label, (matchers, name) in named.items():
        chosen = matchers.replace("$release", release).replace("$pool", pool).replace("$namespace", "voice")
        (selector,) = selectors(f"some_metric{{{chosen}}}")
        fitting = [one for one in THERE if fits({"namespace": "voice", label: name.format(one)}, selector)]
        assert tuple(fitting) == found, label
