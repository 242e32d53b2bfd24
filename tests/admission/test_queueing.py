"""How busy a queue may be, against the exact waits of one (M/D/1)."""

import math

import pytest

from service.admission.queueing import used_share


def waits_longer(works: float, used: float) -> float:
    """Of all that come by chance to a queue used so much, those that wait longer than so many works (Erlang, 1909)."""
    soon = sum(
        (used * (before - works)) ** before / math.factorial(before) * math.exp(-used * (before - works))
        for before in range(math.floor(works) + 1)
    )
    return 1 - (1 - used) * soon


@pytest.mark.parametrize("too_late", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("works", [1.5, 2.2, 3.0, 5.0, 10.0])
def test_few_wait_for_longer(works: float, too_late: float) -> None:
    assert waits_longer(works, used_share(works, too_late)) == pytest.approx(too_late, rel=0.2)


@pytest.mark.parametrize("works", [0.2, 0.5, 0.6, 0.75, 0.9, 1.0, 1.25])
def test_where_little_time_is_left_not_many_more_do(works: float) -> None:
    assert waits_longer(works, used_share(works, 0.01)) <= 0.016


def test_the_longer_all_may_wait_the_busier_it_may_be() -> None:
    shares = [used_share(works, 0.01) for works in (-1.0, 0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 10.0, 100.0, 1e4, math.inf)]
    assert shares == sorted(shares)
    assert shares[:2] == [0.01, 0.01]
    assert 0.99 < shares[-1] < 1


def test_the_more_may_be_late_the_busier_it_may_be() -> None:
    shares = [used_share(2.0, too_late) for too_late in (0.001, 0.01, 0.1, 0.5)]
    assert shares == sorted(set(shares))
