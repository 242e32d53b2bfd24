"""docs/preflight.md matches the code."""

import json
from typing import Any

import yaml

from service.engine.models.gpu_memory import DEFAULT_UTILIZATION, OVERHEAD_GIB
from service.preflight.checks.all_checks import CLUSTER_CHECKS, POOL_CHECKS
from service.preflight.checks.definition import ClusterCheck, PoolCheck
from service.preflight.report import Report
from tests.preflight.looking import Looker
from tests.preflight.right_cluster import pool, right, values
from tests.support.documents import document_text, table_rows_under

CHECKS: list[ClusterCheck | PoolCheck] = [*CLUSTER_CHECKS, *POOL_CHECKS]
VALUES = [
    values(ingress={"enabled": True, "className": "nginx"}),
    {
        **pool(autoscaling={"enabled": True, "turnsPerSecond": 5.0}),
        "prometheus": {"url": "http://prometheus-operated.monitoring:9090", "triggerAuthentication": "metrics"},
    },
    values(keys={"externalSecret": {"enabled": True, "storeName": "vault", "remoteKey": "voice"}}),
    pool(cache={"type": "existing", "existingClaim": "models"}),
]


def test_every_check_is_documented() -> None:
    rows = [row[:2] for row in table_rows_under("preflight.md", "## The checks")]
    assert rows == [(f"`{check.id}`", check.title) for check in CHECKS]


def test_the_example_is_a_report_with_every_field() -> None:
    example = document_text("preflight.md").split("```json\n")[1].split("```")[0]
    report = Report.model_validate_json(example)
    assert json.loads(report.model_dump_json()) == json.loads(example)


def test_the_assumptions_are_documented() -> None:
    text = document_text("preflight.md")
    assert f"{DEFAULT_UTILIZATION}" in text
    assert f"{OVERHEAD_GIB} GiB" in text


def test_the_roles_permit_what_is_asked_and_only_to_look(looked: Looker) -> None:
    permitted = set()
    for document in yaml.safe_load_all(document_text("preflight.md").split("```yaml\n")[1].split("```")[0]):
        for rule in document.get("rules", ()):
            assert set(rule["verbs"]) <= {"get", "list"}
            permitted |= {
                (group, kind, verb) for group in rule["apiGroups"] for kind in rule["resources"] for verb in rule["verbs"]
            }
    asked = set()
    for given in VALUES:
        servers: list[Any] = []
        looked(right(), given, setup=servers.append)
        for request in servers[0]:
            if request.resource is not None and request.resource.plural is not None:  # Other requests discover the API.
                verb = "get" if request.name else "list"
                asked.add((request.resource.group, request.resource.plural, verb))
    asked |= {("", "namespaces", "get")}  # kmock does not serve its path.
    assert asked <= permitted, asked - permitted
    assert permitted - asked <= {("external-secrets.io", "clustersecretstores", "get")}
