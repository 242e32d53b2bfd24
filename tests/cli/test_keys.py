"""`firstword keys …`, as its user runs it."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
import yaml

from service.tenants.key_file import add_key
from tests.support.factories import CANARY
from tests.support.process import FIRSTWORD, environment


def keys(*arguments: str, file: Path, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [FIRSTWORD, "keys", *arguments],
        env=environment(api_keys_file=str(file)),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def added(file: Path, tenant: str, *, policies: dict[str, dict[str, float]] | None = None) -> str:
    """A new key, and then policies written into the file by hand."""
    key = add_key(file, tenant)
    if policies:
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"tenants": policies}))
    return key


def test_list_shows_ids_tenants_and_policies_and_never_a_hash(file: Path) -> None:
    mine, theirs = added(file, "acme"), added(file, "other", policies={"acme": {"weight": 2, "max_turns": 3}, "later": {}})
    ids = [key.split("_")[1] for key in (mine, theirs)]
    table = keys("list", file=file).stdout
    assert [line.split() for line in table.splitlines()] == [
        ["ID", "TENANT", "POLICY"],
        [ids[0], "acme", "weight=2.0", "max_turns=3"],
        [ids[1], "other", "-"],
        ["-", "later", "-"],
    ]
    printed = keys("list", "--json", file=file).stdout
    assert json.loads(printed) == {
        "keys": [{"id": ids[0], "tenant": "acme"}, {"id": ids[1], "tenant": "other"}],
        "tenants": {"acme": {"weight": 2, "max_turns": 3}, "later": {}},
    }
    content = yaml.safe_load(file.read_text())
    for secret in (content["salt"], *(entry["hash"] for entry in content["keys"])):
        assert secret not in table + printed


def test_revoke_takes_one_key_out(file: Path) -> None:
    first, second = added(file, "acme"), added(file, "acme", policies={"acme": {"weight": 2}})
    revoked = keys("revoke", first.split("_")[1], file=file)
    assert (revoked.returncode, revoked.stdout, revoked.stderr) == (0, "", "")
    content = yaml.safe_load(file.read_text())
    assert [entry["id"] for entry in content["keys"]] == [second.split("_")[1]]
    assert content["tenants"] == {"acme": {"weight": 2}}


def test_revoking_the_last_key_warns(file: Path) -> None:
    revoked = keys("revoke", added(file, "acme").split("_")[1], file=file)
    assert revoked.returncode == 0
    assert "No key is left" in revoked.stderr


def test_revoking_an_unknown_id_is_an_error(file: Path) -> None:
    added(file, "acme")
    revoked = keys("revoke", CANARY, file=file)
    assert revoked.returncode == 2
    assert str(file) in revoked.stderr
    assert CANARY not in revoked.stderr


def test_verify_says_whose_a_key_is(file: Path) -> None:
    key = added(file, "acme")
    verified = keys("verify", file=file, stdin=f"{key}\n")
    assert (verified.returncode, verified.stdout) == (0, f"tenant acme, id {key.split('_')[1]}\n")
    wrong = keys("verify", file=file, stdin=f"{key}{CANARY}")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert str(file) in wrong.stderr
    assert CANARY not in wrong.stderr
    assert keys("verify", key, file=file).returncode == 2  # Not as an argument, which any process could read.


def test_verify_without_a_key_checks_the_file(file: Path) -> None:
    added(file, "acme")
    good = keys("verify", file=file)
    assert (good.returncode, good.stdout) == (0, f"{file} is valid: 1 keys of 1 tenants.\n")
    keys("revoke", yaml.safe_load(file.read_text())["keys"][0]["id"], file=file)
    assert keys("verify", file=file).returncode == 1
    file.write_text(f"salt: {CANARY}")
    broken = keys("verify", file=file)
    assert (broken.returncode, broken.stdout) == (1, "")
    assert "salt" in broken.stderr
    assert CANARY not in broken.stderr
    assert keys("verify", file=file.with_name("none.yaml")).returncode == 1


def test_verify_asks_on_a_terminal_and_does_not_show_the_key(file: Path) -> None:
    key = added(file, "acme")
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [FIRSTWORD, "keys", "verify", "--file", str(file)],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while b"Key (" not in shown:
        shown += os.read(controller, 1000)
    os.write(controller, f"{key}\n".encode())
    assert process.communicate(timeout=30)[0] == f"tenant acme, id {key.split('_')[1]}\n"
    os.set_blocking(controller, False)
    try:
        shown += os.read(controller, 1000)
    except OSError:  # All has been read.
        pass
    finally:
        os.close(controller)
    assert key.encode() not in shown
