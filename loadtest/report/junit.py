"""The verdict as a JUnit file: one test case for each threshold, and one for the validity of the run."""

from pathlib import Path

from junitparser import Error as Fault
from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from loadtest.report.figures import Row
from loadtest.report.findings import Findings
from loadtest.report.verdict import INVALID, amount, measured


def write(findings: Findings, path: Path) -> None:
    suite = TestSuite(f"launch: {findings.reading.scenario}")
    suite.add_testcase(_validity(findings))
    for row in findings.verdict.rows:
        suite.add_testcase(_case(row, is_valid=findings.verdict.word != INVALID))
    suite.add_property("verdict", findings.verdict.word)
    xml = JUnitXml("firstword launch")
    xml.add_testsuite(suite)
    # Totals of the whole file. Some CI systems read only these, and the library sets only those of the suite.
    xml.update_statistics()  # type: ignore[no-untyped-call]
    xml.write(str(path), pretty=True)


def _validity(findings: Findings) -> TestCase:
    case = TestCase("the run is valid", "launch")
    if findings.verdict.word == INVALID:
        fault = Fault("invalid")
        fault.text = "\n".join(findings.verdict.why)
        case.result = [fault]
    return case


def _case(row: Row, *, is_valid: bool) -> TestCase:
    case = TestCase(row.threshold, "launch")
    reported = f"required {amount(row.wanted, row.unit)}, measured {measured(row)}"
    if not is_valid:
        case.result = [Skipped(f"the run is invalid; {reported}")]
    elif not row.is_met:
        case.result = [Failure(reported)]
    return case
