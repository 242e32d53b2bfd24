"""The report in a real browser: it needs no network, complains of nothing, and what it draws can be seen."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from loadtest.report import page
from loadtest.report.capacity import Plan
from loadtest.report.findings import find
from loadtest.report.reading import Reading
from loadtest.report.thresholds import Thresholds
from tests.loadtest.chromium import look, picture
from tests.loadtest.report_records import Maker, bad, invalid, ramp

PICTURES = ["load", "latency", "outcomes", "calls", "gaps", "client"]
MEASURE = """<script>
const box = of => { const r = of.getBoundingClientRect(); return [r.width, r.height]; };
document.body.dataset.seen = JSON.stringify({
  pictures: Object.fromEntries([...document.querySelectorAll("svg")].map(svg => [svg.closest("section").id,
    {size: box(svg), shapes: [...svg.querySelectorAll("path, use")].filter(shape => box(shape).some(side => side > 0)).length}])),
  wide: document.documentElement.scrollWidth, window: innerWidth,
});
</script></body>"""

pytestmark = pytest.mark.needs_debian


def written(made: Maker, folder: Path, *, measuring: bool = False) -> Path:
    html = page.render(find(Reading(made.record()), Thresholds(), Plan(calls=100)))
    file = folder / "report.html"
    file.write_text(html.replace("</body>", MEASURE) if measuring else html)
    return file


def laid_out(made: Maker, folder: Path, width: int = 1200) -> Any:
    """What the browser measured of the page that it drew."""
    dom = look(written(made, folder, measuring=True), folder, width=width).dom
    seen = re.search(r'data-seen="([^"]*)"', dom)
    assert seen
    return json.loads(seen[1].replace("&quot;", '"'))


@pytest.mark.parametrize("made", [ramp(), bad(), invalid(), Maker(has_server=False)], ids=["ramp", "bad", "invalid", "empty"])
def test_it_opens_without_a_network_and_without_a_complaint(made: Maker, tmp_path: Path) -> None:
    seen = look(written(made, tmp_path), tmp_path)
    assert seen.asked == []
    assert seen.complaints == []
    assert 'id="verdict"' in seen.dom


def test_a_page_that_does_need_the_network_is_seen_to(tmp_path: Path) -> None:
    needy = tmp_path / "needy.html"
    needy.write_text('<img src="http://elsewhere.test/x.png"><script>console.error("no")</script>')
    seen = look(needy, tmp_path)
    assert any("elsewhere.test/x.png" in asked for asked in seen.asked)
    assert seen.complaints


def test_every_picture_is_there_and_has_something_in_it(tmp_path: Path) -> None:
    seen = laid_out(ramp(), tmp_path)
    assert list(seen["pictures"]) == PICTURES
    for drawn in seen["pictures"].values():
        width, height = drawn["size"]
        assert width > 800
        assert height > 150
        assert drawn["shapes"] > 40


def test_an_empty_run_draws_only_what_is_known(tmp_path: Path) -> None:
    assert list(laid_out(Maker(), tmp_path)["pictures"]) == ["client"]


def test_it_fits_a_phone(tmp_path: Path) -> None:
    seen = laid_out(bad(), tmp_path, width=400)
    assert seen["window"] <= 500
    assert seen["wide"] <= seen["window"]


def test_paper_and_ink_follow_the_readers_choice_of_light_or_dark(tmp_path: Path) -> None:
    file = written(ramp(), tmp_path)
    papers = []
    for name, flags in {"light": (), "dark": ("--force-dark-mode",)}.items():
        shot = tmp_path / f"{name}.png"
        picture(file, tmp_path, shot, flags=flags)
        with Image.open(shot) as image:
            reported = image.convert("L")
            assert len(reported.getcolors() or []) > 20  # Something stands on it.
            papers.append(reported.getpixel((2, 2)))
    assert papers == [255, 23]
