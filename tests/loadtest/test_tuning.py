"""Looking for vLLM's best bound: up or down, to where neither neighbour is better."""

from collections.abc import Callable

import pytest

from loadtest.overload.tuning import BOUNDS, Held, best_of, climb


def peak_at(best: int) -> Callable[[int], float]:
    return lambda bound: -abs(BOUNDS.index(bound) - BOUNDS.index(best))


@pytest.mark.parametrize("best", BOUNDS)
def test_the_best_bound_is_found_and_its_neighbours_were_tried(best: int) -> None:
    tried = climb(peak_at(best))
    place = BOUNDS.index(best)
    assert best_of(tried) == Held(best, best)
    assert set(BOUNDS[max(0, place - 1) : place + 2]) <= tried.keys()
    assert len(tried) <= 3 + abs(place - BOUNDS.index(16))


def test_each_bound_is_tried_once() -> None:
    tried: list[int] = []

    def goodput(bound: int) -> float:
        tried.append(bound)
        return peak_at(6)(bound)

    climb(goodput)
    assert sorted(tried) == [4, 6, 8, 12, 16, 24]


def test_far_too_many_have_no_goodput_and_fewer_are_tried() -> None:
    goodput = {4: 0.88, 6: 1.12, 8: 0.62}
    assert best_of(climb(lambda bound: goodput.get(bound, 0.0))) == Held(6, 6)


def test_where_nothing_helps_the_search_ends() -> None:
    assert best_of(climb(lambda _: 0.0)) == Held(2, 2)


def test_of_equal_ones_the_least_is_best() -> None:
    assert best_of({16: 1.5, 12: 1.5, 24: 1.0}) == Held(12, 12)


def test_flags_of_vllm() -> None:
    assert Held(12, 14).flags == ["--max-num-seqs", "12", "--max-num-queued-reqs", "14"]
