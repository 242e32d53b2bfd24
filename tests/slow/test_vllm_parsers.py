"""docs/models.md says of vLLM's own parsers what they do. It takes minutes, and changes with another vLLM."""

import json
import subprocess
import sys

from tests.support.documents import table_rows_under

MEASURE = """
import json
from tests.engine.models.vllm_parsers import table
print("TABLE" + json.dumps(table()[1]))
"""


def test_vllms_parsers_do_what_the_page_says() -> None:
    """Otherwise run `python -m tests.engine.models.vllm_parsers`. In a process of its own: vLLM's parsers warn of themselves."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MEASURE], capture_output=True, text=True, check=True)
    measured = next(line.removeprefix("TABLE") for line in done.stdout.splitlines() if line.startswith("TABLE"))
    assert table_rows_under("models.md", "### Measured") == [tuple(row) for row in json.loads(measured)]
