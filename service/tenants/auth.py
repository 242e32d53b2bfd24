"""Keys -> `Caller`. Whatever key is presented, right or wrong, costs the same: one keyed hash for each place that may have it."""

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
# Compared with where an id is unknown, so that this takes as long as a wrong secret.
_NOBODY = KeyEntry(id="-", tenant="-", hash="0" * 64)


class KeyIndex:
    """A key file, made to be asked."""

    def __init__(self, key_file: KeyFile) -> None:
        self.content = key_file
        self._by_id = {entry.id.encode(): entry for entry in key_file.keys}
        self._policies = {tenant: entry.policy for tenant, entry in key_file.tenants.items()}

    def find(self, key: bytes) -> KeyEntry | None:
        """By the key's public id, then one comparison that says nothing by the time it takes."""
        if not self._by_id:  # Which is no secret.
            return None
        entry = self._by_id.get(public_id(key), _NOBODY)
        is_it = hmac.compare_digest(entry.hash, self.content.digest(key))
        return entry if is_it and entry is not _NOBODY else None

    def policy_of(self, tenant: str) -> TenantPolicy:
        return self._policies.get(tenant, _NO_POLICY)


class KeyRing:
    """Every valid key, hashed. Never holds a key itself. Its key file may be replaced while turns run."""

    def __init__(
        self, key_file: KeyFile | None = None, plain: Iterable[tuple[str, str]] = (), *, isolates_cache: bool | None = None
    ) -> None:
        """`isolates_cache`: tenants do not share a prefix cache; None: where there is more than one, or may come to be
        through the key file. Fixed here, since what the cache holds was computed under it.
        """
        self._process_salt = secrets.token_bytes(32)
        # surrogateescape: a variable's bytes as they were, also where they are not UTF-8.
        self._plain = {self._plain_digest(key.encode(errors="surrogateescape")): tenant for tenant, key in plain}
        self._index = KeyIndex(key_file or KeyFile(salt=secrets.token_hex(16)))
        may_be_several = len(self.tenants) > 1 or key_file is not None
        self._isolates_cache = may_be_several if isolates_cache is None else isolates_cache
        self._cache_secret = secrets.token_bytes(32)

    def __len__(self) -> int:
        return len(self._plain) + len(self._index.content.keys)

    @property
    def tenants(self) -> list[str]:
        """Who has a key, in the order of the configuration."""
        return list(dict.fromkeys([*self._plain.values(), *(entry.tenant for entry in self._index.content.keys)]))

    @property
    def key_file(self) -> KeyFile:
        """The file's content as it is in use; without a file, one without keys."""
        return self._index.content

    def replace(self, key_file: KeyFile) -> None:
        """From now on these are the file's keys and policies: at once, so no request sees a half. Turns in progress go on.

        Raises `StartError` where nobody could call any more.
        """
        if not (key_file.keys or self._plain):
            raise StartError("The key file holds no key: nobody could call.")
        self._index = KeyIndex(key_file)

    def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Who sent these raw HTTP headers (names in lower case).

        Several credentials may arrive, since gateways and SDKs add their own: one valid is enough, but two that are
        valid for different tenants are refused. Raises `NotAuthenticated`.
        """
        # A few, since each costs a hash, and whoever sends a thousand has none.
        presented = list(islice(_credentials(headers), _MOST_CREDENTIALS))
        if not presented:
            raise NotAuthenticated("No API key given: send `x-api-key: KEY` or `Authorization: Bearer KEY`.")
        index = self._index  # One for the whole request, whatever replaces it meanwhile.
        tenants = {tenant for key in presented for tenant in self._tenants_of(key, index)}
        if not tenants:
            raise NotAuthenticated("Incorrect API key provided.")
        if len(tenants) > 1:
            raise NotAuthenticated("Keys of different tenants were given in one request; send one.")
        return self._caller(tenants.pop(), index)

    def callers(self) -> list[Caller]:
        """Everybody who may come: each tenant once."""
        return [self._caller(tenant, self._index) for tenant in self.tenants]

    def _caller(self, tenant: str, index: KeyIndex) -> Caller:
        # From a secret of this process: who could guess another's salt could time what the other has asked.
        salt = keyed_digest(self._cache_secret, tenant.encode()).hex() if self._isolates_cache else None
        return Caller(tenant=tenant, cache_salt=salt, policy=index.policy_of(tenant))

    def _plain_digest(self, key: bytes) -> bytes:
        # Nobody stores it, so it need not be the key file's: keyed BLAKE2 costs a turn a fraction of HMAC through OpenSSL.
        return hashlib.blake2b(key, key=self._process_salt, digest_size=32).digest()

    def _tenants_of(self, key: bytes, index: KeyIndex) -> Iterable[str]:
        # The look-up's timing depends on the digest only, and without the salt a digest says nothing about a key.
        tenant = self._plain.get(self._plain_digest(key))
        if tenant is not None:
            yield tenant
        if found := index.find(key):
            yield found.tenant


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
        if not tenant.isprintable():  # It is a label of metrics; a variable's bytes need not even be text.
            raise StartError(f"FIRSTWORD_API_KEYS: the tenant of entry {position} has characters that cannot be shown.")
        if any(key == other_key and tenant != other for other, other_key in pairs):
            raise StartError(f"FIRSTWORD_API_KEYS: entry {position} gives a key that another tenant has.")
        pairs.append((tenant, key))
    return pairs


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
