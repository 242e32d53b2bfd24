"""Secrets: they exist and have the keys that the pods mount. No result contains anything of their contents."""

import base64
from collections.abc import Iterator

from service.errors import StartError
from service.preflight.checks.definition import cluster_check, pool_check
from service.preflight.cluster.snapshot import Snapshot
from service.preflight.finding import Found, failed, number, passed, some, warned
from service.preflight.kubernetes_types import Json
from service.preflight.values.demand import downloads
from service.preflight.values.pool_values import Pool
from service.tenants.auth import KeyIndex
from service.tenants.key_file import KeyFile, parse_key_file


@cluster_check("keys.way", "Exactly one source of API keys is set")
def key_source(snapshot: Snapshot) -> Iterator[Found]:
    keys = snapshot.values.keys
    sources = {
        "keys.existingSecret": bool(keys.existing_secret),
        "keys.generate": keys.generate,
        "keys.externalSecret.enabled": keys.external_secret.enabled,
    }
    chosen = [name for name, is_set in sources.items() if is_set]
    if not chosen:
        fix = "Set keys.existingSecret to a Secret with a key file (`firstword keys add` makes one), or keys.generate to true."
        yield failed("no source of API keys is set, so no caller could authenticate", fix)
    elif len(chosen) > 1:
        yield failed(f"{' and '.join(chosen)} are set, and exactly one is allowed", "Keep one of them.")
    else:
        yield passed(chosen[0])


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
        yield failed(
            str(why), "Correct the key file in the Secret. `firstword keys verify` checks a file on your disk in the same way."
        )
        return
    if not read.keys:
        seen = f"the key file of {keys.existing_secret} has no key, so no caller could authenticate"
        yield failed(seen, "Add a key: `firstword keys add`.")
    else:
        yield passed(f"{keys.existing_secret} has {number(len(read.keys), 'key')}")


@cluster_check("keys.plain", "The Secret has a plain key for `helm test` and the load test")
def plain_key(snapshot: Snapshot) -> Iterator[Found]:
    keys, values = snapshot.values.keys, snapshot.values
    if not keys.existing_secret or not (values.check.enabled or values.load_test.enabled):
        return
    if (secret := snapshot.secret(keys.existing_secret)) is None:
        return  # `keys.secret` reports it.
    # `helm test` is optional. The load test is part of the installation.
    report = failed if values.load_test.enabled else warned
    stop = "or set check.enabled and loadTest.enabled to false"
    if keys.plain_key not in (secret.get("data") or {}):
        seen = f"{keys.existing_secret} has no key {keys.plain_key}, so pods of `helm test` and the load test could not start"
        yield report(seen, f"Add an API key that `firstword keys add` printed to the Secret as {keys.plain_key}, {stop}.")
        return
    try:
        known = KeyIndex(_read(snapshot, keys.existing_secret, keys.file_key))
    except StartError:
        return  # `keys.secret` reports it.
    if known.find(_decoded(secret, keys.plain_key).strip()) is None:
        seen = f"{keys.plain_key} of {keys.existing_secret} is not in its key file, so the service would reject it"
        yield report(seen, f"Set it to a key of the key file, {stop}.")
    else:
        yield passed(f"{keys.plain_key} of {keys.existing_secret}")


@cluster_check("secrets.pull", "The image pull Secrets exist")
def pull(snapshot: Snapshot) -> Iterator[Found]:
    for name in [str(each.get("name", "")) for each in snapshot.values.image_pull_secrets]:
        make = f"kubectl -n {snapshot.plan.namespace} create secret docker-registry {name} --docker-server=…"
        yield _missing(snapshot, name, [".dockerconfigjson"], make) or passed(name)


@cluster_check("secrets.tls", "The ingress certificate exists")
def tls(snapshot: Snapshot) -> Iterator[Found]:
    ingress = snapshot.values.ingress
    if not ingress.enabled or not ingress.tls_secret:
        return
    make = f"kubectl -n {snapshot.plan.namespace} create secret tls {ingress.tls_secret} --cert=… --key=…"
    if found := _missing(snapshot, ingress.tls_secret, ["tls.crt", "tls.key"], make):
        yield warned(found.seen, f"{found.fix} Ignore this if cert-manager creates it at the first install.")
    else:
        yield passed(ingress.tls_secret)


@pool_check("pool.hub-token", "The model hub token exists")
def hub_token(snapshot: Snapshot, pool: Pool) -> Iterator[Found]:
    cache = pool.cache
    if cache.token_secret and downloads(pool):
        make = f"{_create(snapshot, cache.token_secret)} --from-file={cache.token_key}=…"
        yield _missing(snapshot, cache.token_secret, [cache.token_key], make) or passed(cache.token_secret)


def _missing(snapshot: Snapshot, name: str, keys: list[str], make: str) -> Found | None:
    """Check that the Secret exists and has the keys. Returns None when it does. `make` is the command that creates it."""
    if (secret := snapshot.secret(name)) is None:
        return failed(f"the Secret {snapshot.plan.namespace}/{name} does not exist", f"Create it: {make}.")
    has = secret.get("data") or {}
    if lacking := [key for key in keys if key not in has]:
        return failed(
            f"the Secret {name} lacks the key {' and '.join(lacking)}; it has {some(sorted(has)) or 'no keys'}",
            f"Add the key to the Secret, or set its existing key in the values. To create the Secret again: {make}.",
        )
    return None


def _create(snapshot: Snapshot, name: str) -> str:
    return f"kubectl -n {snapshot.plan.namespace} create secret generic {name}"


def _read(snapshot: Snapshot, secret: str, key: str) -> KeyFile:
    """Read the key file. Raises `StartError`, which names the place of the error and quotes nothing of the file."""
    return parse_key_file(_decoded(snapshot.secret(secret) or {}, key), f"{key} of the Secret {secret}")


def _decoded(secret: Json, key: str) -> bytes:
    try:
        return base64.b64decode((secret.get("data") or {}).get(key, ""))
    except (TypeError, ValueError):
        return b""
