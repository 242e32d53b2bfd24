"""Keys -> `Caller`. Look-up is by keyed hash, so that it takes the same time for any key, right or wrong.

A *key file* holds no key, only their hashes (YAML):

    salt: 3b1f…            # hex; one a file
    keys:
      - {id: 9c0d2e41, tenant: acme, hash: 5d41…}   # HMAC-SHA256 of the key under the salt, hex

Its keys are long and random (`firstword keys add` makes them), so a fast keyed hash is enough; key stretching would
cost every request and protect nothing more.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from service.domain import Caller
from service.errors import NotAuthenticated, StartError

_MOST_CREDENTIALS = 8


class KeyEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    id: str = Field(min_length=1)
    tenant: str = Field(min_length=1)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class KeyFile(BaseModel):
    """The content of a key file."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    salt: str = Field(pattern=r"^([0-9a-f]{2}){16,}$")
    keys: list[KeyEntry] = []


class KeyRing:
    """Every valid key, as hashes by salt. Never holds a key itself."""

    def __init__(
        self, key_file: KeyFile | None = None, plain: Iterable[tuple[str, str]] = (), *, isolates_cache: bool | None = None
    ) -> None:
        """`isolates_cache`: tenants do not share a prefix cache; None: where there is more than one."""
        process_salt = secrets.token_bytes(32)
        # surrogateescape: a variable's bytes as they were, also where they are not UTF-8.
        self._tenants_by_salt: dict[bytes, dict[bytes, str]] = {
            process_salt: {_digest(process_salt, key.encode(errors="surrogateescape")): tenant for tenant, key in plain}
        }
        if key_file is not None:
            entries = {bytes.fromhex(entry.hash): entry.tenant for entry in key_file.keys}
            self._tenants_by_salt[bytes.fromhex(key_file.salt)] = entries
        self._isolates_cache = len(self.tenants) > 1 if isolates_cache is None else isolates_cache
        self._cache_secret = secrets.token_bytes(32)

    def __len__(self) -> int:
        return sum(len(tenants) for tenants in self._tenants_by_salt.values())

    @property
    def tenants(self) -> set[str]:
        return {tenant for tenants in self._tenants_by_salt.values() for tenant in tenants.values()}

    def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Who sent these raw HTTP headers (names in lower case).

        Several credentials may arrive, since gateways and SDKs add their own: one valid is enough, but two that are
        valid for different tenants are refused. Raises `NotAuthenticated`.
        """
        # A few, since each costs a hash, and whoever sends a thousand has none.
        presented = list(islice(_credentials(headers), _MOST_CREDENTIALS))
        if not presented:
            raise NotAuthenticated("No API key given: send `x-api-key: KEY` or `Authorization: Bearer KEY`.")
        tenants = {tenant for key in presented for tenant in self._tenants_of(key)}
        if not tenants:
            raise NotAuthenticated("Incorrect API key provided.")
        if len(tenants) > 1:
            raise NotAuthenticated("Keys of different tenants were given in one request; send one.")
        tenant = tenants.pop()
        # From a secret of this process: who could guess another's salt could time what the other has asked.
        salt = _digest(self._cache_secret, tenant.encode()).hex() if self._isolates_cache else None
        return Caller(tenant=tenant, cache_salt=salt)

    def _tenants_of(self, key: bytes) -> Iterable[str]:
        # The look-up's timing depends on the digest only, and without the salt a digest says nothing about a key.
        for salt, tenants in self._tenants_by_salt.items():
            tenant = tenants.get(_digest(salt, key))
            if tenant is not None:
                yield tenant


def parse_plain_keys(text: str) -> list[tuple[str, str]]:
    """`tenant=key,tenant=key` -> pairs. A key may hold `=`. Raises `StartError`, which never quotes a key."""
    pairs: list[tuple[str, str]] = []
    for position, item in enumerate(text.split(","), start=1):
        if not item.strip():
            continue
        # Space around a key can't be part of it: identify strips what arrives in a header.
        tenant, key = (part.strip() for part in item.partition("=")[::2])
        if not (tenant and key):
            raise StartError(f"FIRSTWORD_API_KEYS: entry {position} must look like tenant=key, both non-empty.")
        if any(key == other_key and tenant != other for other, other_key in pairs):
            raise StartError(f"FIRSTWORD_API_KEYS: entry {position} gives a key that another tenant has.")
        pairs.append((tenant, key))
    return pairs


def read_key_file(path: Path) -> KeyFile:
    """Raises `StartError` when the file is missing or not a key file."""
    try:
        return KeyFile.model_validate(yaml.safe_load(path.read_text()) or {})
    except OSError as error:
        raise StartError(f"The key file {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: also pydantic's, UTF-8's, and YAML's of a wrong date.
        raise StartError(f"The key file {path} is not one; `firstword keys add` writes such a file.") from None


def add_key(path: Path, tenant: str) -> str:
    """Make a new key for a tenant, store its hash in the file (made if missing), and return the key: the only time it is seen.

    Raises `StartError` without a tenant, and where the file is not a key file or cannot be written.
    """
    if not tenant:
        raise StartError("A key needs a tenant: its name is empty.")
    key_file = read_key_file(path) if path.exists() else KeyFile(salt=secrets.token_hex(16))
    key_id = secrets.token_hex(4)
    key = f"fw_{key_id}_{secrets.token_urlsafe(32)}"
    digest = _digest(bytes.fromhex(key_file.salt), key.encode()).hex()
    key_file.keys.append(KeyEntry(id=key_id, tenant=tenant, hash=digest))
    try:
        _write_atomically(path, yaml.safe_dump(key_file.model_dump(), sort_keys=False))
    except OSError as error:
        raise StartError(f"The key file {path} cannot be written: {error.strerror}.") from None
    return key


def make_plain_key() -> str:
    """A random key for a service that was given none."""
    return f"fw_{secrets.token_urlsafe(24)}"


def _credentials(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[bytes]:
    for name, value in headers:
        if name == b"x-api-key":
            key = value.strip()
        elif name == b"authorization":
            scheme, _, key = value.strip().partition(b" ")
            key = key.strip() if scheme.lower() == b"bearer" else b""
        else:
            continue
        if key:
            yield key


def _digest(salt: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, key, hashlib.sha256)


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # 0600 from the start: hashes are not keys, but nobody else needs them either.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
