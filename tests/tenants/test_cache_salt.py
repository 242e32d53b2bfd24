"""The salt that keeps one tenant's prefix cache apart from another's."""

from pathlib import Path

import pytest

from service.tenants.auth import KeyRing
from service.tenants.key_file import add_key, read_key_file
from tests.support.service_under_test import OTHER_KEY, ScriptedService


def salt_of(ring: KeyRing, key: str) -> str | None:
    return ring.identify([(b"x-api-key", key.encode())]).cache_salt


@pytest.mark.parametrize(
    ("tenants", "isolates_cache", "is_salted"),
    [
        (["acme"], None, False),
        (["acme", "acme"], None, False),
        (["acme", "other"], None, True),
        (["acme"], True, True),
        (["acme", "other"], False, False),
    ],
)
def test_tenants_get_a_cache_salt_where_there_is_more_than_one_or_as_set(
    tenants: list[str], isolates_cache: bool | None, is_salted: bool
) -> None:
    keys = [(tenant, f"key-{number}") for number, tenant in enumerate(tenants)]
    ring = KeyRing(plain=keys, isolates_cache=isolates_cache)
    assert [salt_of(ring, key) is not None for _, key in keys] == [is_salted] * len(keys)


def test_with_a_key_file_tenants_are_kept_apart_from_the_start_since_it_may_gain_one(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    first = add_key(file, "acme")
    ring = KeyRing(read_key_file(file))
    before = salt_of(ring, first)
    second = add_key(file, "other")
    ring.replace(read_key_file(file))
    assert before is not None
    assert salt_of(ring, first) == before  # What the cache holds for the tenant stays of use.
    assert salt_of(ring, second) not in (None, before)


def test_a_cache_salt_is_the_tenants_whichever_key_it_sends_and_whenever() -> None:
    ring = KeyRing(plain=[("acme", "k1"), ("acme", "k2"), ("other", "k3")])
    assert salt_of(ring, "k1") == salt_of(ring, "k1") == salt_of(ring, "k2")
    assert salt_of(ring, "k3") not in (None, salt_of(ring, "k1"))


def test_a_cache_salt_cannot_be_worked_out_from_the_tenants_name_or_an_earlier_process() -> None:
    salts = {salt_of(KeyRing(plain=[("acme", "k1")], isolates_cache=True), "k1") for _ in range(10)}
    assert len(salts) == 10


def test_a_turn_runs_with_its_tenants_salt_whatever_it_asks_for(service: ScriptedService) -> None:
    """Two tenants call the service; the second claims the first one's salt."""
    service.post(service.body())
    mine = service.engine.jobs[-1].cache_salt
    service.post(service.body(cache_salt=mine), headers={"x-api-key": OTHER_KEY})
    others = service.engine.jobs[-1].cache_salt
    assert mine and others
    assert mine != others
