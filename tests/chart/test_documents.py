"""The chart accepts the values in the documents."""

import re
from pathlib import Path

import pytest
import yaml
from helm_python import HelmValuesError

from service.preflight.values.chart_values import Values
from tests.chart.rendering import CHART, FOLDER, Json

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [FOLDER / "README.md", *(DOCS / f"{name}.md" for name in ("helm", "gateways", "autoscaling", "adapters"))]
KEYS = {field.alias for field in Values.model_fields.values()}


def snippets(page: Path) -> list[Json]:
    """Return the YAML blocks, fenced or indented, that have a top-level key of the chart."""
    text = page.read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks += [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)]
    read = [_read(block) for block in blocks]
    return [block for block in read if isinstance(block, dict) and block.keys() & KEYS]


def _read(block: str) -> object:
    try:
        return yaml.safe_load(block)
    except yaml.YAMLError:
        return None  # Commands and Helm templates are not YAML.


def test_there_is_something_to_read() -> None:
    assert len(snippets(DOCS / "helm.md")) >= 2
    assert len(snippets(FOLDER / "README.md")) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_values_in_the_documents_are_values(page: Path) -> None:
    for values in snippets(page):
        try:
            CHART.validate_schema(values)
        except HelmValuesError as error:
            pytest.fail(f"{page.name}: {error}\n{values}")


def test_links_of_the_guide_lead_somewhere() -> None:
    page = DOCS / "helm.md"
    for link, _, anchor in re.findall(r"\]\(([^)#]*)(#([^)]*))?\)", page.read_text()):
        target = (page.parent / link) if link else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, f"{link}#{anchor}"
