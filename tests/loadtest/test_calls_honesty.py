"""A client that could not keep up says so, and blames no server."""

import time
from typing import Any

import gevent  # type: ignore[import-untyped]
import pytest

from loadtest.calls.honesty import MEND, Watch, doubts

pytestmark = pytest.mark.alone


def watched(work: Any, *, for_s: float) -> dict[str, Any]:
    watch = Watch()
    watching = gevent.spawn(watch.run, time.monotonic(), lambda: 3)
    ending = gevent.spawn_later(for_s, watching.kill)
    work()
    ending.join()
    return watch.report()


def test_a_blocked_loop_is_noticed() -> None:
    def block() -> None:
        gevent.sleep(0.3)
        time.sleep(0.5)

    seen = watched(block, for_s=1.5)
    assert seen["worst_lag_s"] > 0.4 and seen["blocked_s"] > 0.4
    (doubt,) = doubts({"local": seen}, [0.0], not_placed=0, cap=9)
    assert doubt.startswith("local: the event loop was blocked for ")


def test_a_report_has_the_seconds_since_the_last_one() -> None:
    watch = Watch(cpu=[(1.0, 0.5)], in_progress=[(1.0, 3)], blocked_s=0.2)
    assert (watch.report()["cpu"], watch.report()["cpu"]) == ([(1.0, 0.5)], []), "else it grew with the run"
    assert watch.report()["blocked_s"] == 0.2


def test_a_full_processor_is_noticed() -> None:
    def compute() -> None:
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            # Back before a lag of the loop would be one.
            slice_until = time.monotonic() + 0.02
            while time.monotonic() < slice_until:
                pass
            gevent.sleep(0.0001)

    seen = watched(compute, for_s=2.5)
    assert len(seen["cpu"]) == 2 and [calls for _, calls in seen["in_progress"]] == [3, 3]
    # What a busy machine leaves of a processor is not for a test to say.
    seen["cpu"] = [(at_s, max(used, 0.95) if used > 0.3 else used) for at_s, used in seen["cpu"]]
    assert any("CPU in 2 of 2 s" in doubt for doubt in doubts({"w": seen}, [0.0], not_placed=0, cap=9))


def test_a_loop_at_rest_uses_next_to_nothing() -> None:
    seen = watched(lambda: gevent.sleep(0), for_s=2.2)
    assert all(used < 0.3 for _, used in seen["cpu"])
    assert seen["watched_s"] == pytest.approx(2.2, abs=0.3)


IDLE = {"cpu": [(1.0, 0.2)], "blocked_s": 0.0, "watched_s": 10.0, "worst_lag_s": 0.0, "in_progress": []}


@pytest.mark.parametrize(
    ("late_s", "about_it", "words"),
    [
        ([0.001] * 200, {}, None),
        ([0.001] * 199 + [5.0], {}, None),  # One of two hundred.
        ([0.001] * 190 + [0.2] * 10, {}, "turns were sent late: 1 in 100 was 0.200 s late"),
        ([0.0], {"not_placed": 3}, "3 calls were not placed because 9 calls"),
        ([0.0], {"missing": ["worker-2"]}, "worker-2 was lost during the run"),
        ([], {}, "no turn was sent"),
    ],
    ids=["kept up", "one hiccup", "late", "not placed", "a lost worker", "nothing sent"],
)
def test_doubts_are_told_in_words(late_s: list[float], about_it: dict[str, Any], words: str | None) -> None:
    found = doubts({"local": IDLE}, late_s, **{"not_placed": 0, "cap": 9, **about_it})
    assert len(found) == (words is not None)
    assert words is None or found[0].startswith(words)
    assert ("sent late" in str(found)) == (MEND in str(found))
