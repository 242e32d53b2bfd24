"""API keys: how the service gets them, and which caller the headers of a request authenticate."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.domain import Caller, TenantPolicy
from service.errors import NotAuthenticated, StartError
from service.tenants.auth import KeyRing, make_plain_key, parse_plain_keys
from service.tenants.key_file import KeyFile, add_key, read_key_file, revoke_key
from tests.support.factories import CANARY

RING = KeyRing(plain=[("acme", "a-key"), ("acme", "a-key-2"), ("other", "o-key"), ("café", "clé")], isolates_cache=False)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("acme=k1", [("acme", "k1")]),
        ("acme=k1,acme=k2,other=k3", [("acme", "k1"), ("acme", "k2"), ("other", "k3")]),
        ("acme=a=b==", [("acme", "a=b==")]),
        (" acme = k1 ,\n other=k2\n", [("acme", "k1"), ("other", "k2")]),
        (",acme=k1,,", [("acme", "k1")]),
        ("", []),
        (" , ", []),
    ],
)
def test_plain_keys_are_parsed(text: str, pairs: list[tuple[str, str]]) -> None:
    assert parse_plain_keys(text) == pairs


def test_a_key_of_two_tenants_is_refused_at_start() -> None:
    with pytest.raises(StartError, match="entry 2") as refused:
        parse_plain_keys("a=canary,b=canary")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("entry", [CANARY, f"={CANARY}", f" ={CANARY}", f"{CANARY}=", f"{CANARY}= "])
def test_a_malformed_entry_is_numbered_and_never_quoted(entry: str) -> None:
    with pytest.raises(StartError) as caught:
        parse_plain_keys(f"acme=k1,{entry}")
    assert str(caught.value).startswith("FIRSTWORD_API_KEYS: entry 2 ") and "tenant=key" in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-api-key", b"a-key")],
        [(b"x-api-key", b"  a-key ")],
        [(b"authorization", b"Bearer a-key")],
        [(b"authorization", b"bearer a-key")],
        [(b"authorization", b"BEARER   a-key  ")],
        [(b"content-type", b"application/json"), (b"x-api-key", b"a-key-2")],
        [(b"x-api-key", b"a-key"), (b"x-api-key", b"a-key")],
        [(b"x-api-key", b"a-key"), (b"authorization", b"Bearer a-key-2")],
        [(b"x-api-key", b"wrong"), (b"authorization", b"Bearer a-key")],
        [(b"authorization", b"Basic dXNlcjpwYXNz"), (b"x-api-key", b"a-key")],
        [(b"authorization", b"Bearer wrong"), (b"authorization", b"Bearer a-key")],
        [(b"x-api-key", b""), (b"x-api-key", b"a-key")],
    ],
)
def test_one_valid_key_among_the_headers_is_enough(headers: list[tuple[bytes, bytes]]) -> None:
    assert RING.identify(headers) == Caller("acme")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-api-key", b"o-key"), (b"authorization", b"Bearer a-key")],
        [(b"x-api-key", b"o-key"), (b"x-api-key", b"wrong"), (b"x-api-key", b"a-key")],
    ],
)
def test_valid_keys_of_two_tenants_are_refused(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(NotAuthenticated, match="different tenants"):
        RING.identify(headers)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-api-key", b"")],
        [(b"x-api-key", b"   ")],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"a-key")],
        [(b"authorization", b"Basic a-key")],
        [(b"cookie", b"x-api-key=a-key")],
    ],
)
def test_without_a_key_the_ways_to_send_one_are_named(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(NotAuthenticated, match=r"x-api-key: KEY.*Authorization: Bearer KEY") as caught:
        RING.identify(headers)
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize(
    "value",
    [
        CANARY.encode(),
        b"A-KEY",
        b"a-key,o-key",
        b"a-key x",
        b"a-ke",
        f"{CANARY}é".encode(),
        b"\xff\xfe\x00",
        b"\xed\xa0\x80",
        b"k" * 100_000,
        "clé".encode("latin-1"),
    ],
    ids=lambda value: ascii(value[:20]),
)
@pytest.mark.parametrize(("name", "scheme"), [(b"x-api-key", b""), (b"authorization", b"Bearer ")])
def test_a_wrong_key_is_refused_and_never_quoted(name: bytes, scheme: bytes, value: bytes) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        RING.identify([(name, scheme + value)])
    assert caught.value.message == "Incorrect API key provided."
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")


def test_a_key_may_be_any_text_sent_as_utf_8() -> None:
    assert RING.identify([(b"x-api-key", "clé".encode())]) == Caller("café")


def test_a_key_may_be_any_bytes_an_environment_can_hold() -> None:
    from_environment = b"acme=\xff\xfekey".decode(errors="surrogateescape")
    assert KeyRing(plain=parse_plain_keys(from_environment)).identify([(b"x-api-key", b"\xff\xfekey")]) == Caller("acme")


def test_a_ring_knows_its_tenants_and_size_and_holds_no_key() -> None:
    assert (RING.tenants, len(RING)) == (["acme", "other", "café"], 4)
    assert "a-key" not in str(vars(RING))


def test_an_empty_ring_lets_nobody_in() -> None:
    with pytest.raises(NotAuthenticated):
        KeyRing().identify([(b"x-api-key", b"x")])


POLICY = TenantPolicy(weight=2, max_turns=3)


def file_keys(tmp_path: Path, *tenants: str, policies: str = "") -> tuple[KeyFile, list[bytes]]:
    """A key file with a key for each tenant, and the keys."""
    file = tmp_path / "keys.yaml"
    keys = [add_key(file, tenant).encode() for tenant in tenants]
    with file.open("a") as text:
        text.write(policies)
    return read_key_file(file), keys


def test_a_key_of_the_file_brings_its_tenants_policy(tmp_path: Path) -> None:
    key_file, keys = file_keys(tmp_path, "acme", "other", "acme", policies="tenants: {acme: {weight: 2, max_turns: 3}}")
    ring = KeyRing(key_file, isolates_cache=False)
    callers = [ring.identify([(b"x-api-key", key)]) for key in keys]
    assert callers == [Caller("acme", policy=POLICY), Caller("other"), Caller("acme", policy=POLICY)]


def test_a_plain_keys_tenant_may_have_its_policy_in_the_file(tmp_path: Path) -> None:
    key_file, _ = file_keys(tmp_path, "other", policies="tenants: {acme: {weight: 2, max_turns: 3}}")
    ring = KeyRing(key_file, [("acme", "a-key")], isolates_cache=False)
    assert ring.identify([(b"x-api-key", b"a-key")]) == Caller("acme", policy=POLICY)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1],
        lambda key: key + b"x",
        lambda key: b"fw_00000000_" + key.split(b"_", 2)[2],
        lambda key: b"FW_" + key[3:],
        lambda key: b"_".join(key.split(b"_", 2)[:2]),
        lambda key: key.split(b"_", 2)[1],
        lambda key: b"fw_-_" + key.split(b"_", 2)[2],
        lambda key: b"fw__",
        lambda key: b"fw_\xff_x",
    ],
)
def test_a_key_that_is_nearly_one_of_the_file_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    key_file, [key] = file_keys(tmp_path, "acme")
    with pytest.raises(NotAuthenticated, match="Incorrect"):
        KeyRing(key_file).identify([(b"x-api-key", spoil(key))])


def test_a_replaced_file_counts_from_the_next_request(tmp_path: Path) -> None:
    old_file, [old] = file_keys(tmp_path, "acme")
    new_file, [added] = file_keys(tmp_path, "other", policies="tenants: {acme: {weight: 2, max_turns: 3}}")
    ring = KeyRing(old_file, isolates_cache=False)
    with pytest.raises(NotAuthenticated):
        ring.identify([(b"x-api-key", added)])
    ring.replace(new_file)
    assert ring.identify([(b"x-api-key", added)]) == Caller("other")
    assert ring.identify([(b"x-api-key", old)]) == Caller("acme", policy=POLICY)
    revoke_key(tmp_path / "keys.yaml", old.split(b"_")[1].decode())
    ring.replace(read_key_file(tmp_path / "keys.yaml"))
    with pytest.raises(NotAuthenticated):
        ring.identify([(b"x-api-key", old)])
    assert (ring.tenants, len(ring)) == (["other"], 1)


def test_a_file_without_keys_does_not_take_the_last_ones_away(tmp_path: Path) -> None:
    key_file, [key] = file_keys(tmp_path, "acme")
    nobody = KeyFile(salt=key_file.salt)
    ring = KeyRing(key_file, isolates_cache=False)
    with pytest.raises(StartError, match="no key"):
        ring.replace(nobody)
    assert ring.identify([(b"x-api-key", key)]) == Caller("acme")
    with_plain = KeyRing(key_file, [("other", "o-key")])
    with_plain.replace(nobody)
    assert with_plain.tenants == ["other"]


def test_file_and_plain_keys_work_side_by_side(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.yaml", "acme")
    ring = KeyRing(read_key_file(tmp_path / "keys.yaml"), [("other", "o-key")], isolates_cache=False)
    assert ring.identify([(b"x-api-key", key.encode())]) == Caller("acme")
    assert ring.identify([(b"x-api-key", b"o-key")]) == Caller("other")


def test_keys_made_for_one_run_differ() -> None:
    assert len({make_plain_key() for _ in range(100)}) == 100
