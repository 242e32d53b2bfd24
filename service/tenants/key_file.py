"""The key file: the API keys' hashes, and the tenants' limits. It is a YAML file:

    salt: 3b1f…            # hex; one for the file
    keys:
      - {id: 9c0d2e41, tenant: acme, hash: 5d41…}   # HMAC-SHA256 of the key under the salt, hex
    tenants:               # optional, like each of its fields
      acme: {weight: 2, priority: 1, max_turns: 40, requests_per_min: 600, tokens_per_min: 200000, ttft_budget_s: 1.5}

If the file itself is stored as a secret, a template that cannot hash (Helm's, or a vault's) may write `{tenant: acme, key:
fw_9c0d2e41_…}` instead. The service hashes the key when it reads the file; `keys add` and `keys revoke` write the hash back.

A key is `fw_<id>_<secret>`; `firstword keys add` makes it. The secret is long and random, so a fast keyed hash is enough. Key
stretching would slow down every request without more protection.
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

# A tenant's name is a metrics label and appears in log lines.
TenantName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


class KeyEntry(BaseModel):
    """A hashed key."""

    model_config = _STRICT
    id: str = Field(pattern=r"^[0-9A-Za-z-]+$")  # Without `_`, which ends the id within a key.
    tenant: TenantName
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class PlainEntry(BaseModel):
    """A key that is not hashed yet."""

    model_config = _STRICT
    tenant: TenantName
    key: SecretStr

    def hashed(self, salt: str) -> KeyEntry:
        """Return the entry with the hash of its key. Raises `PydanticCustomError` if the key has the wrong form."""
        key = self.key.get_secret_value().encode()
        if not (key_id := public_id(key).decode()) or not key.partition(b"_")[2].partition(b"_")[2]:
            raise PydanticCustomError("not_a_key", "a key must have the form fw_<id>_<secret>; `firstword keys add` makes one")
        return KeyEntry(id=key_id, tenant=self.tenant, hash=keyed_digest(bytes.fromhex(salt), key).hex())


class TenantEntry(BaseModel):
    """The fields of `TenantPolicy`, with the bounds that the file allows."""

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
            return entries  # The other validators refuse these.
        return [
            PlainEntry.model_validate(entry).hashed(salt) if isinstance(entry, dict) and "key" in entry else entry
            for entry in entries
        ]

    @model_validator(mode="after")
    def _ids_differ(self) -> "KeyFile":
        if len({entry.id for entry in self.keys}) < len(self.keys):
            raise PydanticCustomError("same_id", "two keys have the same id; each key needs its own")
        return self

    def digest(self, key: bytes) -> str:
        """Return the hash of a key, in hex."""
        return keyed_digest(bytes.fromhex(self.salt), key).hex()


def keyed_digest(salt: bytes, key: bytes) -> bytes:
    """Return the HMAC-SHA256 of the key under the salt."""
    return hmac.digest(salt, key, hashlib.sha256)


def public_id(key: bytes) -> bytes:
    """Return the id within `fw_<id>_<secret>`. It is empty if the key has another form."""
    kind, _, rest = key.partition(b"_")
    return rest.partition(b"_")[0] if kind == b"fw" else b""


def read_key_file(path: Path) -> KeyFile:
    """Read a key file. Raises `StartError`, which names the wrong field or line but never quotes the file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StartError(f"The key file {path} cannot be read: {error.strerror}.") from None
    return parse_key_file(content, str(path))


def parse_key_file(content: bytes, name: str) -> KeyFile:
    """Parse the content of a key file. `name` is the file's name in messages. Raises `StartError` as `read_key_file` does."""
    try:
        return KeyFile.model_validate(yaml.safe_load(content.decode()) or {})
    except Exception as error:  # A parser can fail in many ways, and none may end a task that follows the file.
        raise StartError(
            f"The key file {name} is not valid{_explain(error)}. `firstword keys add` writes a valid file."
        ) from None


def add_key(path: Path, tenant: str) -> str:
    """Make a key for a tenant, store its hash in the file, and return the key, which is not stored anywhere.

    A missing file is created. Raises `StartError` if the tenant is empty, or the file is not valid or cannot be written.
    """
    if not tenant:
        raise StartError("The tenant's name is empty. Name the tenant that the key is for.")
    with _editing(path, creates=True) as key_file:
        taken = {entry.id for entry in key_file.keys}
        while (key_id := secrets.token_hex(4)) in taken:
            pass
        key = f"fw_{key_id}_{secrets.token_urlsafe(32)}"
        key_file.keys = [*key_file.keys, KeyEntry(id=key_id, tenant=tenant, hash=key_file.digest(key.encode()))]
    return key


def revoke_key(path: Path, key_id: str) -> KeyFile:
    """Remove a key from the file, and return the new content. Raises `StartError` if the key or the file does not exist."""
    with _editing(path) as key_file:
        kept = [entry for entry in key_file.keys if entry.id != key_id]
        if len(kept) == len(key_file.keys):
            # The id is not quoted, as the user may have given a whole key by mistake.
            raise StartError(f"The key file {path} has no key with this id. `firstword keys list` shows the ids.")
        key_file.keys = kept
    return key_file


@contextlib.contextmanager
def _editing(path: Path, *, creates: bool = False) -> Iterator[KeyFile]:
    """Yield the content, and write it back if the scope ends without an error. `creates` makes a file that is missing.

    Only one process edits the file at a time, so that none overwrites the change of another.
    """
    try:
        target = path.resolve()  # So that a symlink is kept, and its target replaced.
        if creates:
            target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.parent):
            key_file = KeyFile(salt=secrets.token_hex(16)) if creates and not target.exists() else read_key_file(path)
            yield key_file
            # Unset fields are left out, so that a tenant keeps only the fields that the user wrote.
            content = key_file.model_dump(exclude_unset=True)
            _write_atomically(target, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise StartError(f"The key file {path} cannot be written: {error.strerror}.") from None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder. The file itself is replaced by each write, and a separate lock file would be left behind."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_atomically(path: Path, text: str) -> None:
    # Mode 0600 from the start: no other user needs the hashes.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            with contextlib.suppress(FileNotFoundError):
                old = path.stat()
                # The service may run as another user, so keep the owner. Only root can change it.
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
                os.fchmod(file.fileno(), old.st_mode & 0o777)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _explain(error: Exception) -> str:
    """Return `: where: why`, without a parser's own message, which can quote the file."""
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
        return f": the YAML is not valid at line {mark.line + 1}, column {mark.column + 1}"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        known = {*KeyFile.model_fields, *KeyEntry.model_fields, *PlainEntry.model_fields, *TenantEntry.model_fields}
        field = ".".join(str(part) if isinstance(part, int) or part in known else "…" for part in first["loc"])
        return f": {field}: {first['msg']}" if field else f": {first['msg']}"
    return ""
