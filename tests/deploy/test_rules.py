"""Alerts and recording rules: promtool's own tests, what they may name, and a runbook for each alert."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import Call, Expr, MatrixSelector, VectorSelector

from deploy.dashboards.names import AVAILABILITY_OBJECTIVE, OBJECTIVE, VLLM_METRICS
from deploy.dashboards.promql import VALID
from deploy.dashboards.queries import all_queries
from service.telemetry.metrics import Metrics
from tests.documents import document_lines, document_text, table_rows_under
from tests.prometheus import RULES

TESTS = sorted((Path(__file__).parent / "rules").glob("*.yaml"))
EXPOSITION = Path(__file__).parent / "exposition"
RUNBOOKS = "https://github.com/firstword/firstword/blob/main/docs/operations.md#"
SCRAPED = {"job", "instance", "namespace", "pod", "release", "pool"}
"""Labels that the scraper adds to ours."""
LEVELS = {
    "pool": {"namespace", "release", "pool"},
    "pool_tenant": {"namespace", "release", "pool", "tenant"},
    "pool_reason": {"namespace", "release", "pool", "reason"},
    "pool_tenant_reason": {"namespace", "release", "pool", "tenant", "reason"},
}
"""What the first part of a recorded name says that it is summed by."""


def catalogue() -> dict[str, list[dict[str, str]]]:
    """The labels of each series of ours, by its name in the exposition."""
    metrics = Metrics("the-model")
    metrics.add_tenant("a-tenant")
    found: dict[str, list[dict[str, str]]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def exporters() -> set[str]:
    """What others tell, by name."""
    read = [text_string_to_metric_families(file.read_text()) for file in EXPOSITION.glob("*.prom")]
    return {sample.name for families in read for family in families for sample in family.samples}


@dataclass(frozen=True)
class Rule:
    document: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.document.get("alert") or self.document["record"])

    @property
    def expr(self) -> str:
        return str(self.document["expr"])


def read_rules() -> Iterator[Rule]:
    for file in RULES:
        for group in yaml.safe_load(file.read_text())["groups"]:
            yield from (Rule(document) for document in group["rules"])


def read_cases() -> Iterator[dict[str, Any]]:
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            yield from test.get("alert_rule_test", ())


OURS = catalogue()
OTHERS = exporters() | {"up", *VLLM_METRICS}
ALL = list(read_rules())
ALERTS = {rule.name: rule for rule in ALL if "alert" in rule.document}
RECORDS = {rule.name: rule for rule in ALL if "record" in rule.document}
CASES = list(read_cases())
each_rule = pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
each_alert = pytest.mark.parametrize("rule", ALERTS.values(), ids=lambda rule: rule.name)
each_record = pytest.mark.parametrize("rule", RECORDS.values(), ids=lambda rule: rule.name)


def promtool(*arguments: str) -> None:
    program = shutil.which("promtool")
    assert program, "promtool is not installed: make prometheus"
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def nodes(expr: str) -> list[Expr]:
    """Of the parsed expression. Raises where it is no PromQL."""
    found: list[Expr] = []
    promql_parser.walk(promql_parser.parse(expr), found.append)
    return found


def selectors(expr: str) -> list[VectorSelector]:
    return [node for node in nodes(expr) if isinstance(node, VectorSelector)]


def matched(selector: VectorSelector) -> dict[str, str]:
    return {matcher.name: matcher.value for matcher in selector.matchers.matchers}


def test_there_is_something_to_check() -> None:
    assert len(RULES) > 3 and len(TESTS) > 3 and len(ALERTS) > 20


@pytest.mark.parametrize("file", RULES, ids=lambda file: file.name)
def test_promtool_finds_nothing_wrong(file: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(file))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_rules_do_what_they_are_for(file: Path) -> None:
    promtool("test", "rules", str(file))


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.name)
def test_groups_are_evaluated_in_the_order_of_what_they_build_on(file: Path) -> None:
    """Left to promtool the order is none, and a test passes now and then."""
    document = yaml.safe_load(file.read_text())
    read = [yaml.safe_load((file.parent / rules).read_text()) for rules in document["rule_files"]]
    assert document["group_eval_order"] == [group["name"] for rules in read for group in rules["groups"]]


@each_alert
def test_each_alert_is_tested_firing_and_quiet(rule: Rule) -> None:
    told = [bool(case["exp_alerts"]) for case in CASES if case["alertname"] == rule.name]
    assert any(told) and not all(told)


@each_alert
def test_a_firing_alert_tells_where(rule: Rule) -> None:
    names = {str(one.name) for one in selectors(rule.expr)}
    where = {"namespace"} if any(name.startswith("certmanager_") for name in names) else {"namespace", "pool"}
    if not any(name.startswith(("kube_", "keda_", "DCGM_", "certmanager_")) for name in names):
        where.add("release")
    for case in CASES:
        if case["alertname"] == rule.name:
            for alert in case["exp_alerts"]:
                assert where <= set(alert["exp_labels"])


def test_the_name_comes_first() -> None:
    assert {next(iter(rule.document)) for rule in ALL} == {"alert", "record"}
    assert len(ALERTS) + len(RECORDS) == len(ALL)


def test_nothing_waits_for_helm() -> None:
    for rule in ALL:
        bare = {key: value for key, value in rule.document.items() if key != "annotations"}
        assert "{{" not in yaml.safe_dump(bare), rule.name
        assert ".Values" not in str(rule.document)


@each_alert
def test_each_alert_says_how_bad_it_is_and_what_to_do(rule: Rule) -> None:
    severity, notes = rule.document["labels"]["severity"], rule.document["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert all(notes.values())
    assert severity in {"page", "ticket"}
    anchor = f"alert-{rule.name.lower()}"
    assert notes["runbook_url"] == RUNBOOKS + anchor
    assert f"### Alert: {rule.name}" in document_lines("operations.md")


def test_runbooks_are_of_the_alerts_that_there_are() -> None:
    headings = [line.removeprefix("### Alert: ") for line in document_lines("operations.md") if line.startswith("### Alert: ")]
    told = [(alert, severity) for alert, severity, _ in table_rows_under("operations.md", "## Alerts")]
    assert sorted(headings) == sorted(ALERTS)
    linked = [(f"[{name}](#alert-{name.lower()})", rule.document["labels"]["severity"]) for name, rule in ALERTS.items()]
    assert sorted(told) == sorted(linked)


def test_runbooks_name_panels_that_there_are() -> None:
    runbooks = document_text("operations.md").split("\n## Alerts\n")[1]
    named = {" ".join(name.split()) for name in re.findall(r"(?<![*\w`])\*([^*`]+)\*(?![*\w`])", runbooks)}
    assert len(named) > 10
    assert named <= {query.panel for query in all_queries()}


@each_rule
def test_all_that_a_rule_names_exists(rule: Rule) -> None:
    for name in {str(selector.name) for selector in selectors(rule.expr)}:
        assert name in OURS or name in RECORDS or name in OTHERS, f"nobody tells {name}"


@each_rule
def test_every_label_and_word_of_ours_exists(rule: Rule) -> None:
    for selector in selectors(rule.expr):
        name = str(selector.name)
        # A recorded series has the labels of what it is made of.
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
    """Which turns a recorded share is made of, good and all, through what it builds on."""
    found = []
    for selector in selectors(RECORDS[record].expr):
        name = str(selector.name)
        found += outcomes(name) if name in RECORDS else [matched(selector)["outcome"]]
    return found


def test_burn_rate_alerts_have_the_objectives_and_a_least_volume() -> None:
    burns = {name: rule.expr for name, rule in ALERTS.items() if "ratio_rate" in rule.expr}
    assert len(burns) == 7
    for name, expr in burns.items():
        assert f"1 - {OBJECTIVE if 'goodput' in expr else AVAILABILITY_OBJECTIVE}" in expr, name
        assert re.search(r"firstword_turns_valid:rate\w+ \* \d+ >= 50", expr), name
