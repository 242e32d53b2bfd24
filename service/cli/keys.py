"""`firstword keys …`: manages the API keys of a key file. Tenants' limits are edited in the file by hand, under `tenants`."""

import getpass
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.errors import StartError
from service.tenants.auth import KeyIndex
from service.tenants.key_file import KeyFile, add_key, read_key_file, revoke_key

app = typer.Typer(help="Manage the API keys of a key file.", no_args_is_help=True)
_File = Annotated[Path, typer.Option("--file", envvar="FIRSTWORD_API_KEYS_FILE", help="The key file.")]


@app.command()
def add(tenant: Annotated[str, typer.Argument(help="The tenant that the key is for.")], file: _File) -> None:
    """Make a key for a tenant and print it once. The file stores only its hash. A missing file is created."""
    print(add_key(file, tenant))


@app.command(name="list")
def list_keys(file: _File, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the ids and tenants of the keys, and the limits of each tenant. Hashes are not shown."""
    key_file = read_key_file(file)
    policies = {tenant: entry.model_dump(exclude_unset=True) for tenant, entry in key_file.tenants.items()}
    if as_json:
        keys = [{"id": entry.id, "tenant": entry.tenant} for entry in key_file.keys]
        print(json.dumps({"keys": keys, "tenants": policies}, indent=2))
        return
    rows = [("ID", "TENANT", "POLICY")]
    without_key = policies.keys() - {entry.tenant for entry in key_file.keys}
    for key_id, tenant in [(entry.id, entry.tenant) for entry in key_file.keys] + [("-", name) for name in sorted(without_key)]:
        rows.append((key_id, tenant, " ".join(f"{name}={value}" for name, value in policies.get(tenant, {}).items()) or "-"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for key_id, tenant, policy in rows:
        print(f"{key_id:{widths[0]}}  {tenant:{widths[1]}}  {policy}")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id of the key, from `keys list`.")], file: _File
) -> None:
    """Remove a key from the file. A service that uses the file refuses the key within seconds. Turns in progress continue."""
    key_file = revoke_key(file, key_id)
    if not key_file.keys:
        print("No key is left. A service without other keys keeps the last keys until you add one.", file=sys.stderr)


@app.command()
def verify(file: _File) -> None:
    """Read a key from stdin and print its tenant. Without a key, check whether the file is valid. Exit status 0 or 1."""
    try:
        print(_verdict(read_key_file(file), _given_key(), file))
    except StartError as error:
        print(f"firstword: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _given_key() -> bytes:
    """Read the key from stdin. On the command line, every process of the machine could read it."""
    if sys.stdin is None:
        return b""
    if sys.stdin.isatty():
        return getpass.getpass("Key (leave empty to check only the file): ").strip().encode()
    return sys.stdin.buffer.readline().strip()


def _verdict(key_file: KeyFile, key: bytes, file: Path) -> str:
    """Return the text to print. Raises `StartError` if the file has no keys or not this key."""
    if not key:
        if not key_file.keys:
            raise StartError(f"{file} has no key. `firstword keys add TENANT` adds one.")
        return f"{file} is valid: {len(key_file.keys)} keys of {len({entry.tenant for entry in key_file.keys})} tenants."
    entry = KeyIndex(key_file).find(key)
    if entry is None:
        raise StartError(f"The key is not in {file}.")
    return f"tenant {entry.tenant}, id {entry.id}"
