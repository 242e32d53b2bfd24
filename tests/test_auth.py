"""Keys: how they are given to the service, and who a request's headers prove to be."""

import stat
from pathlib import Path

import pytest
import yaml

from service.auth import KeyRing, add_key, make_plain_key, parse_plain_keys, read_key_file
from service.domain import Caller
from service.errors import NotAuthenticated, StartError
from tests.factories import CANARY

SALT = "0f" * 16
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
    assert str(caught.value) == "FIRSTWORD_API_KEYS: entry 2 must look like tenant=key, both non-empty."


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
    assert (RING.tenants, len(RING)) == ({"acme", "other", "café"}, 4)
    assert "a-key" not in str(vars(RING))


def test_an_empty_ring_lets_nobody_in() -> None:
    with pytest.raises(NotAuthenticated):
        KeyRing().identify([(b"x-api-key", b"x")])


@pytest.mark.parametrize("tenant", ["acme", "null", "123", "a: b", "café", "#x", " "])
def test_an_added_key_opens_the_service_as_its_tenant(tmp_path: Path, tenant: str) -> None:
    file = tmp_path / "made" / "keys.yaml"
    first, second = add_key(file, tenant), add_key(file, "second")
    ring = KeyRing(read_key_file(file), isolates_cache=False)
    assert first != second
    assert ring.identify([(b"x-api-key", first.encode())]) == Caller(tenant)
    assert ring.identify([(b"authorization", b"Bearer " + second.encode())]) == Caller("second")


def test_a_key_file_holds_hashes_only_and_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    keys = [add_key(file, "acme"), add_key(file, "acme")]
    content = file.read_text()
    for key in keys:
        assert key not in content
        assert key.rpartition("_")[2] not in content
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
    assert [entry["id"] for entry in yaml.safe_load(content)["keys"]] == [key.split("_")[1] for key in keys]


def test_file_and_plain_keys_work_side_by_side(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys.yaml", "acme")
    ring = KeyRing(read_key_file(tmp_path / "keys.yaml"), [("other", "o-key")], isolates_cache=False)
    assert ring.identify([(b"x-api-key", key.encode())]) == Caller("acme")
    assert ring.identify([(b"x-api-key", b"o-key")]) == Caller("other")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"acme=k1",
        b"[]",
        b"\xff\xfe",
        b"keys: [",
        b"[" * 5000,
        b"keys: 2020-99-99",
        b"keys: []",
        f"salt: {CANARY}".encode(),
        f"salt: '{SALT}f'".encode(),
        f"salt: '{SALT[2:]}'".encode(),
        f"salt: '{SALT}'\nkeys: [{{id: a, tenant: acme, hash: {CANARY}}}]".encode(),
        f"salt: '{SALT}'\nkeys: [{{id: a, tenant: acme}}]".encode(),
        f"salt: '{SALT}'\nkeys: [{{id: a, tenant: acme, hash: '{SALT}{SALT}', key: {CANARY}}}]".encode(),
        f"salt: '{SALT}'\nkey: {CANARY}".encode(),
    ],
)
def test_a_broken_key_file_is_a_start_error_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys.yaml"
    file.write_bytes(content)
    for attempt in (lambda: read_key_file(file), lambda: add_key(file, "acme")):
        with pytest.raises(StartError) as caught:
            attempt()
        assert str(caught.value) == f"The key file {file} is not one; `firstword keys add` writes such a file."
    assert file.read_bytes() == content


@pytest.mark.parametrize(("path", "reason"), [("none.yaml", "No such file"), (".", "Is a directory")])
def test_a_missing_key_file_is_a_start_error(tmp_path: Path, path: str, reason: str) -> None:
    with pytest.raises(StartError, match=reason):
        read_key_file(tmp_path / path)


def test_a_key_that_cannot_be_kept_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartError, match="cannot be written"):
        add_key(tmp_path / "file" / "keys.yaml", "acme")
    with pytest.raises(StartError, match="empty"):
        add_key(tmp_path / "keys.yaml", "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_keys_made_for_one_run_differ() -> None:
    assert len({make_plain_key() for _ in range(100)}) == 100
