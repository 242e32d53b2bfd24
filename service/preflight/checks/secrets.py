"""Secrets: that they are there, with the keys that the pods mount. What stands in them is told to nobody."""

import base64
from collections.abc import Iterator

from service.errors import StartError
from service.preflight.checks.definition import cluster_check, pool_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, doubtful, good, number, some, wrong
from service.preflight.kubernetes_types import Json
from service.preflight.values.demand import downloads
from service.preflight.values.pool_values import Pool
from service.tenants.auth import KeyIndex
from service.tenants.key_file import KeyFile, parse_key_file


@cluster_check("keys.way", "One way is chosen by which there are API keys")
def way(snapshot: Snapshot) -> Iterator[Found]:
    keys = snapshot.values.keys
    ways = {
        "keys.existingSecret": bool(keys.existing_secret),
        "keys.generate": keys.generate,
        "keys.externalSecret.enabled": keys.external_secret.enabled,
    }
    chosen = [name for name, is_set in ways.items() if is_set]
    if not chosen:
        fix = "Set keys.existingSecret to a Secret with a key file (`firstword keys add` makes one), or keys.generate to true."
        yield wrong("nobody could call: no API keys", fix)
    elif len(chosen) > 1:
        yield wrong(f"{' and '.join(chosen)} are set", "Choose one.")
    else:
        yield good(chosen[0])


@cluster_check("keys.secret", "The Secret has a key file")
def key_file(snapshot: Snapshot) -> Iterator[Found]:
    keys = snapshot.values.keys
    if not keys.existing_secret:
        return
    make = f"firstword keys add TENANT --file keys.yaml; {_create(snapshot, keys.existing_secret)}"
    found = _missing(snapshot, keys.existing_secret, [keys.file_key], f"{make} --from-file={keys.file_key}=keys.yaml")
    if found:
        yield found
        return
    try:
        read = _read(snapshot, keys.existing_secret, keys.file_key)
    except StartError as why:
        yield wrong(str(why), "Correct it there; `firstword keys verify` says the same of a file on your disk.")
        return
    if not read.keys:
        yield wrong(f"the key file of {keys.existing_secret} holds no key: nobody could call", "Add one: `firstword keys add`.")
    else:
        yield good(f"{keys.existing_secret} holds {number(len(read.keys), 'key')}")


@cluster_check("keys.plain", "The Secret has a plain key for `helm test` and the load test")
def plain_key(snapshot: Snapshot) -> Iterator[Found]:
    keys, values = snapshot.values.keys, snapshot.values
    if not keys.existing_secret or not (values.check.enabled or values.load_test.enabled):
        return
    if (secret := snapshot.secret(keys.existing_secret)) is None:
        return  # Told already.
    told = wrong if values.load_test.enabled else doubtful
    stop = "or set check.enabled and loadTest.enabled to false"
    if keys.plain_key not in (secret.get("data") or {}):
        seen = f"{keys.existing_secret} has no {keys.plain_key}: pods of `helm test` and the load test could not start"
        yield told(seen, f"Put a key that `firstword keys add` printed into it as {keys.plain_key}, {stop}.")
        return
    try:
        known = KeyIndex(_read(snapshot, keys.existing_secret, keys.file_key))
    except StartError:
        return  # Told already.
    if known.find(_decoded(secret, keys.plain_key).strip()) is None:
        seen = f"{keys.plain_key} of {keys.existing_secret} is no key of its key file: the service would refuse it"
        yield told(seen, f"Put one of the file's keys there, {stop}.")
    else:
        yield good(f"{keys.plain_key} of {keys.existing_secret}")


@cluster_check("secrets.pull", "Secrets for pulling images are there")
def pull(snapshot: Snapshot) -> Iterator[Found]:
    for name in [str(each.get("name", "")) for each in snapshot.values.image_pull_secrets]:
        make = f"kubectl -n {snapshot.plan.namespace} create secret docker-registry {name} --docker-server=…"
        yield _missing(snapshot, name, [".dockerconfigjson"], make) or good(name)


@cluster_check("secrets.tls", "The ingress's certificate is there")
def tls(snapshot: Snapshot) -> Iterator[Found]:
    ingress = snapshot.values.ingress
    if not ingress.enabled or not ingress.tls_secret:
        return
    make = f"kubectl -n {snapshot.plan.namespace} create secret tls {ingress.tls_secret} --cert=… --key=…"
    if found := _missing(snapshot, ingress.tls_secret, ["tls.crt", "tls.key"], make):
        yield doubtful(found.seen, f"{found.fix} cert-manager may make it at the first install.")
    else:
        yield good(ingress.tls_secret)


@pool_check("pool.hub-token", "The model hub's token is there")
def hub_token(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    cache = pool.cache
    if cache.token_secret and downloads(pool):
        make = f"{_create(snapshot, cache.token_secret)} --from-file={cache.token_key}=…"
        yield _missing(snapshot, cache.token_secret, [cache.token_key], make) or good(cache.token_secret)


def _missing(snapshot: Snapshot, name: str, keys: list[str], make: str) -> Found | None:
    """What lacks, or None."""
    if (secret := snapshot.secret(name)) is None:
        return wrong(f"there is no Secret {snapshot.plan.namespace}/{name}", f"Make it: {make}.")
    has = secret.get("data") or {}
    if lacking := [key for key in keys if key not in has]:
        return wrong(
            f"the Secret {name} has no {' and no '.join(lacking)}; it has {some(sorted(has)) or 'nothing'}",
            f"Add it to the Secret, or name the key that it has in the values. To make it anew: {make}.",
        )
    return None


def _create(snapshot: Snapshot, name: str) -> str:
    return f"kubectl -n {snapshot.plan.namespace} create secret generic {name}"


def _read(snapshot: Snapshot, secret: str, key: str) -> KeyFile:
    """Raises `StartError`, which says where it is wrong and quotes nothing of it."""
    return parse_key_file(_decoded(snapshot.secret(secret) or {}, key), f"{key} of the Secret {secret}")


def _decoded(secret: Json, key: str) -> bytes:
    try:
        return base64.b64decode((secret.get("data") or {}).get(key, ""))
    except (TypeError, ValueError):
        return b""
