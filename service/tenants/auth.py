"""Authenticates API keys. A right and a wrong key cost the same: one keyed hash for the plain keys and one for the key file."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from itertools import islice

from service.domain import Caller, TenantPolicy
from service.errors import NotAuthenticated, StartError
from service.tenants.key_file import KeyEntry, KeyFile, keyed_digest, public_id

_MOST_CREDENTIALS = 8
_NO_POLICY = TenantPolicy()
# Compared with a key whose id is unknown, so that this takes as long as a wrong secret.
_UNKNOWN = KeyEntry(id="-", tenant="-", hash="0" * 64)


class KeyIndex:
    """Look-up tables of a key file."""

    def __init__(self, key_file: KeyFile) -> None:
        self.content = key_file
        self._by_id = {entry.id.encode(): entry for entry in key_file.keys}
        self._policies = {tenant: entry.policy for tenant, entry in key_file.tenants.items()}

    def find(self, key: bytes) -> KeyEntry | None:
        """Return the entry of this key, or None. It is found by its public id, then compared in constant time."""
        if not self._by_id:  # Whether the file has keys is not a secret.
            return None
        entry = self._by_id.get(public_id(key), _UNKNOWN)
        is_match = hmac.compare_digest(entry.hash, self.content.digest(key))
        return entry if is_match and entry is not _UNKNOWN else None

    def policy_of(self, tenant: str) -> TenantPolicy:
        return self._policies.get(tenant, _NO_POLICY)


class KeyRing:
    """The hashes of all valid keys, never the keys themselves. Its key file can be replaced while turns run."""

    def __init__(
        self, key_file: KeyFile | None = None, plain: Iterable[tuple[str, str]] = (), *, isolates_cache: bool | None = None
    ) -> None:
        """`isolates_cache` says whether each tenant has its own prefix cache.

        None means yes if there are several tenants, or a key file, which may add tenants. It is fixed at the start, as the cached
        prompts depend on it.
        """
        self._process_salt = secrets.token_bytes(32)
        # surrogateescape restores the bytes of the environment variable, also if they are not UTF-8.
        self._plain = {self._plain_digest(key.encode(errors="surrogateescape")): tenant for tenant, key in plain}
        self._index = KeyIndex(key_file or KeyFile(salt=secrets.token_hex(16)))
        may_be_several = len(self.tenants) > 1 or key_file is not None
        self._isolates_cache = may_be_several if isolates_cache is None else isolates_cache
        self._cache_secret = secrets.token_bytes(32)

    def __len__(self) -> int:
        return len(self._plain) + len(self._index.content.keys)

    @property
    def tenants(self) -> list[str]:
        """Names of the tenants that have a key, in the order of the configuration."""
        return list(dict.fromkeys([*self._plain.values(), *(entry.tenant for entry in self._index.content.keys)]))

    @property
    def key_file(self) -> KeyFile:
        """The key file in use. Without a file, a key file without keys."""
        return self._index.content

    def replace(self, key_file: KeyFile) -> None:
        """Replace the key file's keys and policies at once. Turns in progress continue.

        Raises `StartError` if no key at all would be left.
        """
        if not (key_file.keys or self._plain):
            raise StartError("The key file has no key, so every request would be refused. Add one with `firstword keys add`.")
        self._index = KeyIndex(key_file)

    def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Return the caller that these raw HTTP headers (names in lower case) authenticate. Raises `NotAuthenticated`.

        A request may have several credentials, as gateways and SDKs add their own. One valid credential is enough. Valid
        credentials of different tenants are refused.
        """
        # Only the first few are tried, as each costs a hash.
        presented = list(islice(_credentials(headers), _MOST_CREDENTIALS))
        if not presented:
            raise NotAuthenticated("No API key given: send `x-api-key: KEY` or `Authorization: Bearer KEY`.")
        index = self._index  # The same index for the whole request, even if it is replaced meanwhile.
        tenants = {tenant for key in presented for tenant in self._tenants_of(key, index)}
        if not tenants:
            raise NotAuthenticated("Incorrect API key provided.")
        if len(tenants) > 1:
            raise NotAuthenticated("The request has keys of different tenants; send only one key.")
        return self._caller(tenants.pop(), index)

    def callers(self) -> list[Caller]:
        """Return a caller for each tenant that has a key."""
        return [self._caller(tenant, self._index) for tenant in self.tenants]

    def _caller(self, tenant: str, index: KeyIndex) -> Caller:
        # The salt comes from a secret of this process. With a guessed salt, one tenant could measure what another has asked.
        salt = keyed_digest(self._cache_secret, tenant.encode()).hex() if self._isolates_cache else None
        return Caller(tenant=tenant, cache_salt=salt, policy=index.policy_of(tenant))

    def _plain_digest(self, key: bytes) -> bytes:
        # This digest is not stored, so it need not be the one of the key file. Keyed BLAKE2 is much faster than OpenSSL's HMAC.
        return hashlib.blake2b(key, key=self._process_salt, digest_size=32).digest()

    def _tenants_of(self, key: bytes, index: KeyIndex) -> Iterable[str]:
        # The time of the look-up depends only on the digest, which shows nothing about a key without the salt.
        tenant = self._plain.get(self._plain_digest(key))
        if tenant is not None:
            yield tenant
        if found := index.find(key):
            yield found.tenant


def parse_plain_keys(text: str) -> list[tuple[str, str]]:
    """Parse `tenant=key,tenant=key` into pairs. A key may contain `=`. Raises `StartError`, which never quotes a key."""
    pairs: list[tuple[str, str]] = []
    for position, item in enumerate(text.split(","), start=1):
        if not item.strip():
            continue
        # Space around a key cannot be part of it, as `identify` strips the header's value.
        tenant, key = (part.strip() for part in item.partition("=")[::2])
        if not (tenant and key):
            raise StartError(f"FIRSTWORD_API_KEYS: entry {position} must look like tenant=key, both non-empty.")
        if not tenant.isprintable():  # It is a metrics label. The bytes of the variable may not even be text.
            raise StartError(f"FIRSTWORD_API_KEYS: the tenant of entry {position} has characters that are not printable.")
        if any(key == other_key and tenant != other for other, other_key in pairs):
            raise StartError(f"FIRSTWORD_API_KEYS: entry {position} has the key of another tenant. Give each tenant its own.")
        pairs.append((tenant, key))
    return pairs


def make_plain_key() -> str:
    """Return a random key for a service that has no configured key."""
    return f"fw_{secrets.token_urlsafe(24)}"


def _credentials(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[bytes]:
    """Yield the keys in `x-api-key` and `Authorization: Bearer` headers."""
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
