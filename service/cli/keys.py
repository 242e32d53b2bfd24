"""`firstword keys …`: who may call. What each tenant may ask is for an editor: the `tenants` of the key file."""

import getpass
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.errors import StartError
from service.tenants.auth import KeyIndex
from service.tenants.key_file import KeyFile, add_key, read_key_file, revoke_key

app = typer.Typer(help="API keys: who may call.", no_args_is_help=True)
_File = Annotated[Path, typer.Option("--file", envvar="FIRSTWORD_API_KEYS_FILE", help="The key file.")]


@app.command()
def add(tenant: Annotated[str, typer.Argument(help="Who the key is for.")], file: _File) -> None:
    """Make a key for a tenant and print it, once: the file (made if it is missing) keeps only its hash."""
    print(add_key(file, tenant))


@app.command(name="list")
def list_keys(file: _File, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """Show the keys' ids and tenants, and what each tenant may ask. No hashes."""
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
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")], file: _File) -> None:
    """Take a key out of the file. A service that follows it refuses the key within seconds; turns in progress go on."""
    key_file = revoke_key(file, key_id)
    if not key_file.keys:
        print("No key is left: a service without other keys goes on with the last ones until there is one.", file=sys.stderr)


@app.command()
def verify(file: _File) -> None:
    """Read a key from stdin and say whose it is; without one, say whether the file is good. Exit status 0 or 1."""
    try:
        print(_verdict(read_key_file(file), _given_key(), file))
    except StartError as error:
        print(f"firstword: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def _given_key() -> bytes:
    """Never from the command line, where every process of the machine could read it."""
    if sys.stdin is None:
        return b""
    if sys.stdin.isatty():
        return getpass.getpass("Key (none: only check the file): ").strip().encode()
    return sys.stdin.buffer.readline().strip()


def _verdict(key_file: KeyFile, key: bytes, file: Path) -> str:
    """Raises `StartError` where the answer is no."""
    if not key:
        if not key_file.keys:
            raise StartError(f"{file} holds no key.")
        return f"{file} is good: {len(key_file.keys)} keys of {len({entry.tenant for entry in key_file.keys})} tenants."
    entry = KeyIndex(key_file).find(key)
    if entry is None:
        raise StartError(f"This is no key of {file}.")
    return f"tenant {entry.tenant}, id {entry.id}"
