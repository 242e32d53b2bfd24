"""What docs/launch.md and loadtest/thresholds.yaml say of the thresholds is what the code has."""

import re
from pathlib import Path

import yaml

from loadtest.report.thresholds import DEFAULT_FILE, Thresholds, load

PAGE = Path(__file__).resolve().parents[2] / "docs" / "launch.md"


def test_the_page_has_every_threshold_with_its_default_and_its_meaning() -> None:
    rows = re.findall(r"^\| `(\w+_(?:min|max))` \| (\S+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    reported = {name: (yaml.safe_load(default), about) for name, default, about in rows}
    assert reported == {name: (field.default, field.description) for name, field in Thresholds.model_fields.items()}


def test_the_default_file_has_every_threshold_as_the_code_has_it() -> None:
    assert load(DEFAULT_FILE) == Thresholds()
    assert list(yaml.safe_load(DEFAULT_FILE.read_text())) == list(Thresholds.model_fields)


def test_the_page_shows_a_real_report_and_the_picture_is_small() -> None:
    picture = PAGE.parent / re.findall(r"!\[[^]]*\]\(([^)]+)\)", PAGE.read_text())[0]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 400_000
