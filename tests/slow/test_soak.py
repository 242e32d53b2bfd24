"""The soak that runs long enough to show a leak of 100 bytes a turn."""

from pathlib import Path

from tests.support.soak import assert_nothing_grows


def test_a_long_soak_leaves_neither_memory_nor_files_nor_threads(tmp_path: Path) -> None:
    assert_nothing_grows(tmp_path / "log", turns=40_000, rss_bytes=4 * 2**20)
