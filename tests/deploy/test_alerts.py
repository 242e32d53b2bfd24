"""Alerts: each is tested firing and quiet, names the place and the severity, and has a runbook."""

import re

import pytest

from deploy.dashboards.names import AVAILABILITY_OBJECTIVE, OBJECTIVE
from deploy.dashboards.queries import all_queries
from tests.deploy.rule_files import ALERTS, CASES, Rule
from tests.support.documents import document_lines, document_text, table_rows_under
from tests.support.promql import selectors

RUNBOOKS = "https://github.com/firstword/firstword/blob/main/docs/operations.md#"
each_alert = pytest.mark.parametrize("rule", ALERTS.values(), ids=lambda rule: rule.name)


@each_alert
def test_each_alert_is_tested_firing_and_quiet(rule: Rule) -> None:
    fires = [bool(case["exp_alerts"]) for case in CASES if case["alertname"] == rule.name]
    assert any(fires) and not all(fires)


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
    listed = [(alert, severity) for alert, severity, _ in table_rows_under("operations.md", "## Alerts")]
    assert sorted(headings) == sorted(ALERTS)
    linked = [(f"[{name}](#alert-{name.lower()})", rule.document["labels"]["severity"]) for name, rule in ALERTS.items()]
    assert sorted(listed) == sorted(linked)


def test_runbooks_name_panels_that_there_are() -> None:
    runbooks = document_text("operations.md").split("\n## Alerts\n")[1]
    named = {" ".join(name.split()) for name in re.findall(r"(?<![*\w`])\*([^*`]+)\*(?![*\w`])", runbooks)}
    assert len(named) > 10
    assert named <= {query.panel for query in all_queries()}


def test_burn_rate_alerts_have_the_objectives_and_a_least_volume() -> None:
    burns = {name: rule.expr for name, rule in ALERTS.items() if "ratio_rate" in rule.expr}
    assert len(burns) == 7
    for name, expr in burns.items():
        assert f"1 - {OBJECTIVE if 'goodput' in expr else AVAILABILITY_OBJECTIVE}" in expr, name
        assert re.search(r"firstword_turns_valid:rate\w+ \* \d+ >= 50", expr), name
