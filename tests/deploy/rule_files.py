"""The chart's rules, and their promtool test cases."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.prometheus import RULES

TESTS = sorted((Path(__file__).parent / "rules").glob("*.yaml"))


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


ALL = list(read_rules())
ALERTS = {rule.name: rule for rule in ALL if "alert" in rule.document}
RECORDS = {rule.name: rule for rule in ALL if "record" in rule.document}
CASES = list(read_cases())
