"""Who goes next."""

from collections import Counter

from service.admission.estimate import Cost
from service.admission.room import Room, Waiter
from service.domain import TenantPolicy


def waiter(tenant: str, *, weight: float = 1, priority: int = 0, continues: bool = False, work_s: float = 1.0) -> Waiter:
    policy = TenantPolicy(weight=weight, priority=priority)
    return Waiter(tenant, policy, continues, Cost(1, 1, 1), work_s, is_ready=True)


def fill(room: Room, *waiters: Waiter) -> None:
    for each in waiters:
        room.add(each)


def order(room: Room) -> list[Waiter]:
    gone = []
    while heads := room.heads():
        room.take(heads[0])
        gone.append(heads[0])
    return gone


def test_first_come_first_served_within_a_tenant() -> None:
    room = Room()
    first, second = waiter("acme"), waiter("acme")
    fill(room, first, second)
    assert order(room) == [first, second]


def test_a_turn_that_continues_a_call_goes_before_a_first_one() -> None:
    room = Room()
    new, continued = waiter("acme"), waiter("acme", continues=True)
    fill(room, new, continued)
    assert order(room) == [continued, new]


def test_another_tenants_first_turn_does_not_stand_behind_ones_continued() -> None:
    room = Room()
    fill(room, *(waiter("acme", continues=True) for _ in range(3)), waiter("other"))
    assert "other" in [each.tenant for each in order(room)[:2]]


def test_higher_priority_goes_first_whatever_its_weight() -> None:
    room = Room()
    low, high = waiter("low", weight=100), waiter("high", priority=1, weight=0.1)
    fill(room, low, high)
    assert order(room) == [high, low]


def test_tenants_share_by_weight() -> None:
    room = Room()
    fill(room, *(waiter("light") for _ in range(60)), *(waiter("heavy", weight=3) for _ in range(60)))
    assert Counter(each.tenant for each in order(room)[:40]) == {"heavy": 30, "light": 10}


def test_tenants_share_work_not_turns() -> None:
    room = Room()
    fill(room, *(waiter("long", work_s=4) for _ in range(40)), *(waiter("short") for _ in range(40)))
    counted = Counter(each.tenant for each in order(room)[:25])
    assert counted["short"] == 4 * counted["long"]


def test_a_tenant_that_has_used_little_goes_before_one_that_floods() -> None:
    room = Room()
    fill(room, *(waiter("flood") for _ in range(50)))
    for _ in range(30):
        room.take(room.heads()[0])
    quiet = [waiter("quiet") for _ in range(5)]
    fill(room, *quiet)
    assert order(room)[:5] == quiet


def test_who_is_not_ready_is_passed_over() -> None:
    room = Room()
    slow, ready = waiter("acme"), waiter("acme")
    slow.is_ready = False
    fill(room, slow, ready)
    assert room.heads() == [ready]
    assert len(room) == 2


def test_who_leaves_is_not_waited_for() -> None:
    room = Room()
    gone, stays = waiter("acme"), waiter("acme")
    fill(room, gone, stays)
    room.remove(gone)
    assert order(room) == [stays]
    assert room.heads() == []


def test_ahead_of_a_turn_are_those_that_would_go_first() -> None:
    room = Room()
    fill(room, *(waiter("flood", continues=True) for _ in range(10)), waiter("high", priority=1))
    for newcomer in (waiter("flood"), waiter("flood", continues=True), waiter("quiet"), waiter("high", priority=2)):
        reported = room.ahead_of(newcomer)
        room.add(newcomer)
        went = order(room)
        assert set(went[: went.index(newcomer)]) <= set(reported)
        assert len(reported) <= went.index(newcomer) + 1  # A tie can go either way.
        fill(room, *(each for each in went if each is not newcomer))


def test_a_tenant_that_has_had_less_than_its_share_has_credit_and_one_that_is_alone_has_none() -> None:
    room = Room()
    fill(room, *(waiter("busy") for _ in range(4)))
    order(room)
    assert room.has_credit(waiter("quiet")) and not room.has_credit(waiter("busy"))
    fill(room, *(waiter("quiet", work_s=8.0) for _ in range(3)))
    order(room)
    assert not room.has_credit(waiter("quiet")) and room.has_credit(waiter("busy"))


def test_what_a_tenant_has_had_counts_also_when_none_of_its_turns_waits() -> None:
    room = Room()
    fill(room, *(waiter("busy", work_s=10.0) for _ in range(2)))
    order(room)
    fill(room, quiet := waiter("quiet"))
    assert room.ahead_of(waiter("busy")) == [quiet]


def test_a_tenant_whose_priority_changes_begins_in_its_new_class_like_a_newcomer() -> None:
    room = Room()
    fill(room, *(waiter("promoted", work_s=1000.0) for _ in range(3)))
    order(room)
    fill(room, *(waiter("other", priority=1) for _ in range(30)))
    for _ in range(20):
        room.take(room.heads()[0])
    fill(room, promoted := waiter("promoted", priority=1))
    assert promoted in order(room)[:2]
