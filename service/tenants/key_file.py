"""The key file: who may call, and what each tenant may ask. It holds hashes of keys (YAML):

    salt: 3b1f…            # hex; one a file
    keys:
      - {id: 9c0d2e41, tenant: acme, hash: 5d41…}   # HMAC-SHA256 of the key under the salt, hex
    tenants:               # optional, as is each field
      acme: {weight: 2, priority: 1, max_turns: 40, requests_per_min: 600, tokens_per_min: 200000, ttft_budget_s: 1.5}

Where the file is itself kept as a secret and written by something that cannot hash (a Helm template, a vault's template), an
entry may be `{tenant: acme, key: fw_9c0d2e41_…}`. It is hashed as it is read; `keys add` and `keys revoke` write the hash back.

A key is `fw_<id>_<secret>`, long and random (`firstword keys add` makes it), so a fast keyed hash is enough; key stretching
would cost every request and protect nothing more.
"""

import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from service.domain import TenantPolicy
from service.errors import StartError

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)
_MOST = 10**12

# It is a label of metrics, and stands in log lines.
TenantName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


class KeyEntry(BaseModel):
    model_config = _STRICT
    id: str = Field(pattern=r"^[0-9A-Za-z-]+$")  # No `_`: it ends the id within a key.
    tenant: TenantName
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class PlainEntry(BaseModel):
    """A key that is not hashed yet."""

    model_config = _STRICT
    tenant: TenantName
    key: SecretStr

    def hashed(self, salt: str) -> KeyEntry:
        key = self.key.get_secret_value().encode()
        if not (key_id := public_id(key).decode()) or not key.partition(b"_")[2].partition(b"_")[2]:
            raise PydanticCustomError("not_a_key", "a key is fw_<id>_<secret>, as `firstword keys add` makes them")
        return KeyEntry(id=key_id, tenant=self.tenant, hash=keyed_digest(bytes.fromhex(salt), key).hex())


class TenantEntry(BaseModel):
    """The fields of `TenantPolicy`, as they may stand in the file."""

    model_config = _STRICT
    weight: float = Field(default=1.0, ge=0.001, le=1000)
    priority: int = Field(default=0, ge=-100, le=100)
    max_turns: int | None = Field(default=None, ge=1, le=_MOST)
    requests_per_min: int | None = Field(default=None, ge=1, le=_MOST)
    tokens_per_min: int | None = Field(default=None, ge=1, le=_MOST)
    ttft_budget_s: float | None = Field(default=None, gt=0, le=3600)

    @property
    def policy(self) -> TenantPolicy:
        return TenantPolicy(**self.model_dump())


class KeyFile(BaseModel):
    """The content of a key file."""

    model_config = _STRICT
    salt: str = Field(pattern=r"^([0-9a-f]{2}){16,}$")
    keys: list[KeyEntry] = []
    tenants: dict[TenantName, TenantEntry] = {}

    @field_validator("keys", mode="before")
    @classmethod
    def _hash_plain_ones(cls, entries: Any, info: ValidationInfo) -> Any:
        salt = info.data.get("salt")
        if salt is None or not isinstance(entries, list):
            return entries  # Refused elsewhere.
        return [
            PlainEntry.model_validate(entry).hashed(salt) if isinstance(entry, dict) and "key" in entry else entry
            for entry in entries
        ]

    @model_validator(mode="after")
    def _ids_differ(self) -> "KeyFile":
        if len({entry.id for entry in self.keys}) < len(self.keys):
            raise PydanticCustomError("same_id", "two keys have the same id")
        return self

    def digest(self, key: bytes) -> str:
        return keyed_digest(bytes.fromhex(self.salt), key).hex()


def keyed_digest(salt: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, key, hashlib.sha256)


def public_id(key: bytes) -> bytes:
    """The id within `fw_<id>_<secret>`; empty where there is none."""
    kind, _, rest = key.partition(b"_")
    return rest.partition(b"_")[0] if kind == b"fw" else b""


def read_key_file(path: Path) -> KeyFile:
    """Raises `StartError` when the file is missing or not a key file: the message says where, and quotes nothing of it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StartError(f"The key file {path} cannot be read: {error.strerror}.") from None
    return parse_key_file(content, str(path))


def parse_key_file(content: bytes, name: str) -> KeyFile:
    """As `read_key_file`; `name` says in messages which file it is."""
    try:
        return KeyFile.model_validate(yaml.safe_load(content.decode()) or {})
    except Exception as error:  # A parser can fail in many ways, and whoever follows the file must outlive them all.
        raise StartError(f"The key file {name} is not one{_explain(error)}; `firstword keys add` writes such a file.") from None


def add_key(path: Path, tenant: str) -> str:
    """Make a new key for a tenant, store its hash in the file (made if missing), and return the key: the only time it is seen.

    Raises `StartError` without a tenant, and where the file is not a key file or cannot be written.
    """
    if not tenant:
        raise StartError("A key needs a tenant: its name is empty.")
    with _editing(path, is_made=True) as key_file:
        taken = {entry.id for entry in key_file.keys}
        while (key_id := secrets.token_hex(4)) in taken:
            pass
        key = f"fw_{key_id}_{secrets.token_urlsafe(32)}"
        key_file.keys = [*key_file.keys, KeyEntry(id=key_id, tenant=tenant, hash=key_file.digest(key.encode()))]
    return key


def revoke_key(path: Path, key_id: str) -> KeyFile:
    """Take a key out of the file; the file's new content. Raises `StartError` where there is no such key or file."""
    with _editing(path) as key_file:
        kept = [entry for entry in key_file.keys if entry.id != key_id]
        if len(kept) == len(key_file.keys):
            # Not quoted: a whole key may have been given by mistake.
            raise StartError(f"No key of {path} has this id; `firstword keys list` shows the ids.")
        key_file.keys = kept
    return key_file


@contextlib.contextmanager
def _editing(path: Path, *, is_made: bool = False) -> Iterator[KeyFile]:
    """The content, written back where the scope ends well. One writer at a time, so that none loses what another wrote."""
    try:
        target = path.resolve()  # A symlink stays one.
        if is_made:
            target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):
            key_file = KeyFile(salt=secrets.token_hex(16)) if is_made and not target.exists() else read_key_file(path)
            yield key_file
            # Unset fields are left out: who wrote `weight: 2` finds just that.
            content = key_file.model_dump(exclude_unset=True)
            _write_atomically(target, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise StartError(f"The key file {path} cannot be written: {error.strerror}.") from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder is locked: each write puts a new file in the place of the old, and a file for the lock alone would stay."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_atomically(path: Path, text: str) -> None:
    # 0600 from the start: hashes are not keys, but nobody else needs them either.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileNotFoundError):
                old = path.stat()
                # The service that reads it may be another user; only root can give a file away.
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                os.fchmod(file.fileno(), old.st_mode & 0o777)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _explain(error: Exception) -> str:
    """`: where and why`, of our own words only: a parser's can quote what stands there."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
        return f": no valid YAML at line {mark.line + 1}, column {mark.column + 1}"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        known = {*KeyFile.model_fields, *KeyEntry.model_fields, *PlainEntry.model_fields, *TenantEntry.model_fields}
        place = ".".join(str(part) if isinstance(part, int) or part in known else "…" for part in first["loc"])
        return f": {place}: {first['msg']}" if place else f": {first['msg']}"
    return ""
