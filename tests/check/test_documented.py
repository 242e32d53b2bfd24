"""docs/check.md agrees with the code."""

import json

from service.check.checks.all_checks import CHECKS
from service.check.report import Report
from tests.support.documents import document_text, table_rows_under


def test_every_check_is_documented_as_it_is() -> None:
    rows = table_rows_under("check.md", "## The checks")
    assert rows == [(f"`{check.id}`", check.title, check.worst, check.fix) for check in CHECKS]


def test_the_example_is_a_report_with_every_field() -> None:
    example = document_text("check.md").split("```json\n")[1].split("```")[0]
    report = Report.model_validate_json(example)
    assert report.ttft is not None
    assert json.loads(report.model_dump_json()) == json.loads(example)
