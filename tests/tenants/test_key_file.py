"""The key file: its allowed content, and changes by the command that lose nothing."""

import dataclasses
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.domain import Caller, TenantPolicy
from service.errors import StartError
from service.tenants.auth import KeyRing
from service.tenants.key_file import TenantEntry, add_key, read_key_file, revoke_key
from tests.support.documents import table_rows_under
from tests.support.factories import CANARY

SALT = "0f" * 16
ENTRY = f"{{id: a, tenant: acme, hash: '{SALT}{SALT}'}}"
TWICE = f"salt: '{SALT}'\nkeys: [{ENTRY}, {ENTRY}]"
TENANTS = {
    "acme": {
        "weight": 2,
        "priority": -1,
        "max_turns": 40,
        "requests_per_min": 600,
        "tokens_per_min": 200000,
        "ttft_budget_s": 1.5,
    },
    "other": {"max_turns": 1},
    "plain": {},
}


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
        assert key.split("_", 2)[2] not in content
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
    assert [entry["id"] for entry in yaml.safe_load(content)["keys"]] == [key.split("_")[1] for key in keys]


def test_a_plain_key_is_hashed_as_it_is_read_and_the_hash_is_written_back(tmp_path: Path) -> None:
    file, key = tmp_path / "keys.yaml", f"fw_9c0d2e41_{CANARY}"
    file.write_text(f"salt: '{SALT}'\nkeys: [{{tenant: acme, key: {key}}}]")
    key_file = read_key_file(file)
    assert KeyRing(key_file, isolates_cache=False).identify([(b"x-api-key", key.encode())]) == Caller("acme")
    assert CANARY not in repr(key_file)
    add_key(file, "other")
    assert CANARY not in file.read_text()
    assert read_key_file(file).keys[0] == key_file.keys[0]


@pytest.mark.parametrize("key", [CANARY, f"fw_{CANARY}", "fw__" + CANARY, "fw_a_", 7, None])
@pytest.mark.parametrize("more", ["", ", hash: x", f", nonsense: {CANARY}"])
def test_a_plain_key_that_is_none_of_ours_is_refused_and_not_shown(tmp_path: Path, key: object, more: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(f"salt: '{SALT}'\nkeys: [{{tenant: acme, key: {key}{more}}}]")
    with pytest.raises(StartError, match="keys") as raised:
        read_key_file(file)
    assert CANARY not in str(raised.value)
    assert "\n" not in str(raised.value)


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
        f"salt: '{SALT}'\n{CANARY}: 1".encode(),
        f"salt: '{SALT}'\ntenants: [{CANARY}]".encode(),
        f"salt: '{SALT}'\ntenants: {{acme: {{{CANARY}: 1}}}}".encode(),
        f"salt: '{SALT}'\ntenants: {{{CANARY}: {{weight: {CANARY}}}}}".encode(),
        f"salt: {CANARY}\n\tkeys: [{CANARY}".encode(),
        TWICE.encode(),
        f"salt: '{SALT}'\ntenants: &a {{x: *a}}".encode(),
        rf"""{{salt: '{SALT}', tenants: {{"\ud800": {{}}}}}}""".encode(),
    ],
)
def test_a_broken_key_file_is_a_start_error_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "keys.yaml"
    file.write_bytes(content)
    for attempt in (lambda: read_key_file(file), lambda: add_key(file, "acme")):
        with pytest.raises(StartError) as caught:
            attempt()
        assert str(caught.value).startswith(f"The key file {file} is not valid")
        assert CANARY not in str(caught.value)
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


def write_tenants(file: Path, tenants: Any) -> None:
    file.write_text(yaml.safe_dump({"salt": SALT, "tenants": tenants}))


def test_a_tenants_fields_become_its_policy(tmp_path: Path) -> None:
    write_tenants(tmp_path / "keys.yaml", TENANTS)
    read = {tenant: entry.policy for tenant, entry in read_key_file(tmp_path / "keys.yaml").tenants.items()}
    assert read == {
        "acme": TenantPolicy(
            weight=2, priority=-1, max_turns=40, requests_per_min=600, tokens_per_min=200000, ttft_budget_s=1.5
        ),
        "other": TenantPolicy(max_turns=1),
        "plain": TenantPolicy(),
    }  # fmt: skip


def test_the_document_lists_every_field_with_its_default() -> None:
    documented = [(row[0].strip("`"), row[1].strip("`")) for row in table_rows_under("tenants.md", "## The key file")]
    defaults = {None: "none", 1.0: "1", 0: "0"}
    expected = [(name, defaults[field.default]) for name, field in TenantEntry.model_fields.items()]
    assert documented[:-1] == expected[:-1]
    assert documented[-1] == ("ttft_budget_s", "the service's")


def test_the_file_can_say_all_that_a_policy_holds_with_the_same_defaults() -> None:
    assert list(TenantEntry.model_fields) == [field.name for field in dataclasses.fields(TenantPolicy)]
    assert TenantEntry().policy == TenantPolicy()


@pytest.mark.parametrize(
    "fields",
    [
        {"weight": 0},
        {"weight": -1},
        {"weight": float("inf")},
        {"weight": float("nan")},
        {"weight": "2"},
        {"weight": True},
        {"priority": 1.5},
        {"priority": 10**9},
        {"max_turns": 0},
        {"max_turns": True},
        {"requests_per_min": 0.5},
        {"requests_per_min": 10**400},
        {"tokens_per_min": -5},
        {"ttft_budget_s": 0},
        {"ttft_budget_s": float("inf")},
        {"max_turn": 3},
        None,
    ],
    ids=str,
)
def test_a_wrong_policy_is_refused_and_its_field_named(tmp_path: Path, fields: dict[str, Any] | None) -> None:
    write_tenants(tmp_path / "keys.yaml", {"acme": fields})
    named = next(iter(fields)) if fields and "max_turn" not in fields else "tenants"
    with pytest.raises(StartError, match=named):
        read_key_file(tmp_path / "keys.yaml")


def test_changing_keys_leaves_the_tenants_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    write_tenants(file, TENANTS)
    first, second = add_key(file, "acme"), add_key(file, "other")
    left = revoke_key(file, first.split("_")[1])
    assert yaml.safe_load(file.read_text())["tenants"] == TENANTS
    assert [entry.id for entry in left.keys] == [second.split("_")[1]]
    assert read_key_file(file) == left


@pytest.mark.parametrize("key_id", ["ffffffff", "", CANARY])
def test_revoking_what_is_not_there_changes_nothing(tmp_path: Path, key_id: str) -> None:
    file = tmp_path / "keys.yaml"
    add_key(file, "acme")
    before = file.read_text()
    with pytest.raises(StartError, match="keys list") as caught:
        revoke_key(file, key_id)
    assert CANARY not in str(caught.value)
    with pytest.raises(StartError, match="No such file"):
        revoke_key(tmp_path / "none.yaml", key_id)
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_a_changed_file_keeps_its_mode_and_a_symlink_stays_one(tmp_path: Path, mode: int) -> None:
    file, link = tmp_path / "real" / "keys.yaml", tmp_path / "keys.yaml"
    link.symlink_to("real/keys.yaml")
    key = add_key(link, "acme")
    file.chmod(mode)
    if os.geteuid() == 0:
        os.chown(file, 1234, 4321)
    add_key(link, "acme")
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert os.geteuid() != 0 or (file.stat().st_uid, file.stat().st_gid) == (1234, 4321)
    assert len(read_key_file(link).keys) == 2
    assert KeyRing(read_key_file(file), isolates_cache=False).identify([(b"x-api-key", key.encode())]) == Caller("acme")


def test_keys_added_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    """Several processes, ten keys each."""
    file = tmp_path / "keys.yaml"
    program = "import sys; from pathlib import Path; from service.tenants.key_file import add_key\n"
    program += "for _ in range(10): add_key(Path(sys.argv[1]), 'acme')"
    adding = [subprocess.Popen([sys.executable, "-c", program, str(file)]) for _ in range(4)]
    assert [process.wait(60) for process in adding] == [0] * 4
    assert len(read_key_file(file).keys) == 40
    assert list(tmp_path.iterdir()) == [file]
