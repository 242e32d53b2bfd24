"""Alerts and recording rules: promtool's tests, and the metrics and labels that they use. See also test_alerts.py."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import Call, MatrixSelector

from deploy.dashboards.names import VLLM_METRICS
from deploy.dashboards.promql import VALID
from service.telemetry.metrics import Metrics
from tests.deploy.rule_files import ALERTS, ALL, RECORDS, TESTS, Rule
from tests.support.prometheus import RULES
from tests.support.promql import matched, nodes, selectors

EXPOSITION = Path(__file__).parent / "exposition"
SCRAPED = {"job", "instance", "namespace", "pod", "release", "pool"}
"""Labels that the scraper adds to our metrics."""
LEVELS = {
    "pool": {"namespace", "release", "pool"},
    "pool_tenant": {"namespace", "release", "pool", "tenant"},
    "pool_reason": {"namespace", "release", "pool", "reason"},
    "pool_tenant_reason": {"namespace", "release", "pool", "tenant", "reason"},
}
"""The labels that the first part of a recorded name stands for."""


def model_registry() -> dict[str, list[dict[str, str]]]:
    """The labels of each of our series, by its name in the exposition."""
    metrics = Metrics("the-model")
    metrics.add_tenant("a-tenant")
    found: dict[str, list[dict[str, str]]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def exporters() -> set[str]:
    """Names of the metrics of other exporters."""
    read = [text_string_to_metric_families(file.read_text()) for file in EXPOSITION.glob("*.prom")]
    return {sample.name for families in read for family in families for sample in family.samples}


OURS = model_registry()
OTHERS = exporters() | {"up", *VLLM_METRICS}
each_rule = pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
each_record = pytest.mark.parametrize("rule", RECORDS.values(), ids=lambda rule: rule.name)


def promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    assert program, "promtool is not installed: make prometheus"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_something_to_check() -> None:
    assert len(RULES) > 3 and len(TESTS) > 3 and len(ALERTS) > 20


@pytest.mark.needs_debian
@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_promtool_finds_nothing_wrong(file: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(file))


@pytest.mark.needs_debian
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_rules_do_what_they_are_for(file: Path) -> None:
    promtool("test", "rules", str(file))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_groups_are_evaluated_in_the_order_of_what_they_build_on(file: Path) -> None:
    """Without an order, promtool evaluates groups in a random one, and a test passes only now and then."""
    document = yaml.safe_load(file.read_text())
    read = [yaml.safe_load((file.parent / rules).read_text()) for rules in document["rule_files"]]
    assert document["group_eval_order"] == [group["name"] for rules in read for group in rules["groups"]]


def test_the_name_comes_first() -> None:
    assert {next(iter(rule.document)) for rule in ALL} == {"alert", "record"}
    assert len(ALERTS) + len(RECORDS) == len(ALL)


def test_nothing_waits_for_helm() -> None:
    for rule in ALL:
        bare = {key: value for key, value in rule.document.items() if key != "annotations"}
        assert "{{" not in yaml.safe_dump(bare), rule.name
        assert ".Values" not in str(rule.document)


@each_rule
def test_all_that_a_rule_names_exists(rule: Rule) -> None:
    for name in {str(selector.name) for selector in selectors(rule.expr)}:
        assert name in OURS or name in RECORDS or name in OTHERS, f"no exporter has {name}"


@each_rule
def test_every_label_and_word_of_ours_exists(rule: Rule) -> None:
    for selector in selectors(rule.expr):
        name = str(selector.name)
        # A recorded series has the labels of the series that it is computed from.
        made_of = [str(one.name) for one in selectors(RECORDS[name].expr)] if name in RECORDS else [name]
        series = [labels for each in made_of for labels in OURS.get(each, ())]
        for label, value in matched(selector).items() if series else ():
            known = {labels.get(label) for labels in series}
            assert set(value.split("|")) <= known, f"{name}: {label} is never {value}"
        grouped = {label for labels in re.findall(r"\bby \(([^)]*)\)", rule.expr) for label in labels.split(", ")}
        assert not series or grouped <= SCRAPED.union(*series)


@each_rule
def test_a_counter_is_never_looked_at_raw(rule: Rule) -> None:
    calls = [node for node in nodes(rule.expr) if isinstance(node, Call) and node.func.name in ("rate", "increase")]
    growing = [str(one.vector_selector.name) for call in calls for one in call.args if isinstance(one, MatrixSelector)]
    used = [str(one.name) for one in selectors(rule.expr)]
    assert sorted(filter(is_counter, used)) == sorted(filter(is_counter, growing))


def is_counter(name: str) -> bool:
    return name.endswith(("_total", "_bucket", "_sum", "_count"))


@each_record
def test_a_recorded_name_says_what_it_is(rule: Rule) -> None:
    level, metric, operations = rule.name.split(":")
    assert metric.startswith("firstword_")
    assert re.fullmatch(r"sum|ratio|(ratio_|p\d\d_)?rate(\d+[mhd])", operations)
    grouping = re.search(r"by \(([^)]*)\)", rule.expr)
    if grouping:
        assert set(grouping.group(1).split(", ")) - {"le"} == LEVELS[level]
    else:
        assert {str(one.name).split(":")[0] for one in selectors(rule.expr)} <= {level, f"{level}_tenant"}
    for window in re.findall(r"\[(\w+)]", rule.expr):
        assert operations.endswith(f"rate{window}")


@pytest.mark.parametrize(("measure", "good"), [("goodput", "on_time"), ("availability", "on_time|late")])
@pytest.mark.parametrize("window", ["5m", "30m", "1h", "6h", "3d"])
def test_shares_are_of_the_turns_that_were_ours_to_answer(measure: str, good: str, window: str) -> None:
    assert outcomes(f"pool:firstword_{measure}:ratio_rate{window}") == [good, "on_time|late|refused_capacity|failed"]


def test_the_dashboards_mean_the_same_turns() -> None:
    assert outcomes("pool_tenant:firstword_goodput:ratio_rate1h") == ["on_time", VALID]


def outcomes(record: str) -> list[str]:
    """The outcomes that a recorded share counts, good and all, followed through other recording rules."""
    found = []
    for selector in selectors(RECORDS[record].expr):
        name = str(selector.name)
        found += outcomes(name) if name in RECORDS else [matched(selector)["outcome"]]
    return found
