"""The tables of docs/models.md are what the code and the fixtures make."""

import json
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs_vllm  # It needs transformers.
pytest.importorskip("transformers")

from service.engine.models.parser_verdicts import REASONING_PARSERS, TOOL_PARSERS  # noqa: E402
from service.settings import Settings  # noqa: E402
from tests.engine.models.families import FAMILIES  # noqa: E402
from tests.engine.models.model_tables import FAMILY_TABLE, THOUGHT_TABLE, TITLES, TOOL_TABLE, tables  # noqa: E402
from tests.support.documents import document_text, table_rows_under  # noqa: E402

PAGE = "models.md"
VLLM_TABLE = "### Measured"
REGISTRIES = """
import json
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
print(json.dumps([ToolParserManager.list_registered(), ReasoningParserManager.list_registered()]))
"""


@pytest.mark.parametrize("heading", [FAMILY_TABLE, TOOL_TABLE, THOUGHT_TABLE])
def test_a_table_is_what_the_code_makes(heading: str) -> None:
    """Otherwise run `python -m tests.engine.models.model_tables`."""
    assert table_rows_under(PAGE, heading) == tables()[heading][1]


def test_every_family_has_a_title_and_every_parser_a_row() -> None:
    assert set(TITLES) == set(FAMILIES)
    assert len(table_rows_under(PAGE, FAMILY_TABLE)) == len(FAMILIES)
    assert len(table_rows_under(PAGE, TOOL_TABLE)) == len(TOOL_PARSERS)
    named = {row[0].strip("`") for row in table_rows_under(PAGE, THOUGHT_TABLE)}
    assert named >= REASONING_PARSERS.keys()


def test_every_parser_of_vllms_registries_has_a_verdict() -> None:
    """In a process of its own: importing vLLM warns of itself."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", REGISTRIES], capture_output=True, text=True, check=True)
    tools, reasoning = json.loads(done.stdout.splitlines()[-1])
    assert set(tools) <= set(TOOL_PARSERS)
    assert set(reasoning) <= set(REASONING_PARSERS)


def test_all_samples_of_all_families_are_read_right() -> None:
    assert [row for row in table_rows_under(PAGE, FAMILY_TABLE) if " of " in row[-1]] == []


def test_every_parser_that_was_measured_has_a_verdict() -> None:
    rows = table_rows_under(PAGE, VLLM_TABLE)
    assert len(rows) > 40
    assert {row[0].strip("`") for row in rows} <= TOOL_PARSERS.keys()
    assert {row[1].strip("`") for row in rows} - {"–"} <= REASONING_PARSERS.keys()
    assert all(0 <= int(right) <= int(samples) for _, _, samples, *counts in rows for right in counts[:4])


def test_the_settings_that_the_page_names_exist() -> None:
    named = {name.removeprefix("FIRSTWORD_").lower() for name in re.findall(r"FIRSTWORD_[A-Z_]+", document_text(PAGE))}
    assert named - {"config"} <= set(Settings.model_fields)
