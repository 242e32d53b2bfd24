"""Secrets with each kind of problem. No result contains anything of their contents."""

import json
from typing import Any

import pytest
from rich.console import Console

from service.preflight.report import as_json
from service.preflight.tables import show
from tests.preflight.looking import Looker, finding, findings_text, not_passed
from tests.preflight.right_cluster import HUB_TOKEN, PLAIN_KEY, SALT, SECRETS, Json, Objects, key_file, right, secret, values

OTHER_KEY = "fw_00000000_another-key-that-nobody-may-see"
EXTERNAL: Json = {"externalSecret": {"enabled": True, "storeName": "vault", "remoteKey": "voice/firstword"}}
STORE = ("external-secrets.io/v1/secretstores", "calls", "vault")
LOAD_TEST: Json = {"enabled": True}


def with_keys(**data: str) -> Objects:
    return right() | dict([secret("firstword-keys", **data)])


def without(*names: str) -> Objects:
    return {key: document for key, document in right().items() if key[2] not in names}


@pytest.mark.parametrize(
    ("keys", "seen", "fix"),
    [
        ({}, "API keys", "keys.existingSecret"),
        ({"existingSecret": "firstword-keys", "generate": True}, "keys.existingSecret and keys.generate", "one"),
    ],
)
def test_one_way_of_keys(keys: Json, seen: str, fix: str, looked: Looker) -> None:
    report = looked(right(), values(keys=keys))
    assert not_passed(report) == {"keys.way": "fail"}, findings_text(report)
    found = finding(report, "keys.way")
    assert seen in found.seen
    assert fix in (found.fix or "")


@pytest.mark.parametrize(
    ("objects", "seen", "fix"),
    [
        (without("firstword-keys"), "Secret calls/firstword-keys", "kubectl -n calls create secret generic"),
        (
            with_keys(**{"keys": key_file(PLAIN_KEY), "api-key": PLAIN_KEY}),
            "keys.yaml; it has api-key, keys",
            "--from-file=keys.yaml=keys.yaml",
        ),
        (
            with_keys(**{"keys.yaml": key_file(), "api-key": PLAIN_KEY}),
            "has no key",
            "firstword keys add",
        ),
        (
            with_keys(**{"keys.yaml": PLAIN_KEY, "api-key": PLAIN_KEY}),
            "keys.yaml of the Secret firstword-keys",
            "firstword keys verify",
        ),
        (
            with_keys(**{"keys.yaml": f"salt: '{PLAIN_KEY}'\nkeys: []", "api-key": PLAIN_KEY}),
            "salt: String should match pattern",
            "verify",
        ),
        (
            with_keys(**{"keys.yaml": "a: [" + PLAIN_KEY, "api-key": PLAIN_KEY}),
            "line 1, column",
            "verify",
        ),
    ],
)
def test_the_key_file(objects: Objects, seen: str, fix: str, looked: Looker) -> None:
    report = looked(objects, values())
    found = finding(report, "keys.secret")
    assert found.outcome == "fail"
    assert seen in found.seen
    assert fix in (found.fix or "")
    assert_no_secret_is_shown(report)


def test_a_key_file_may_hold_plain_keys(looked: Looker) -> None:
    file = json.dumps({"salt": SALT, "keys": [{"tenant": "acme", "key": PLAIN_KEY}]})
    report = looked(with_keys(**{"keys.yaml": file, "api-key": PLAIN_KEY}), values())
    assert not_passed(report) == {}, findings_text(report)
    assert_no_secret_is_shown(report)


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        ({"keys.yaml": key_file(PLAIN_KEY)}, "firstword-keys has no key api-key"),
        ({"keys.yaml": key_file(OTHER_KEY), "api-key": PLAIN_KEY}, "api-key of firstword-keys"),
    ],
)
def test_the_plain_key(data: dict[str, str], seen: str, looked: Looker) -> None:
    """Without the key `helm test` fails, which is a warning. The load test is part of the installation."""
    for more, outcome in (({}, "warn"), ({"loadTest": LOAD_TEST}, "fail")):
        report = looked(with_keys(**data), values(**more))
        assert not_passed(report) == {"keys.plain": outcome}, findings_text(report)
        assert seen in finding(report, "keys.plain").seen
        assert_no_secret_is_shown(report)
    report = looked(with_keys(**data), values(check={"enabled": False}))
    assert not_passed(report) == {}, findings_text(report)


def test_other_names_of_the_secrets_keys(looked: Looker) -> None:
    objects = with_keys(file=key_file(PLAIN_KEY), plain=PLAIN_KEY)
    report = looked(objects, values(keys={"existingSecret": "firstword-keys", "fileKey": "file", "plainKey": "plain"}))
    assert not_passed(report) == {}, findings_text(report)


@pytest.mark.parametrize(
    ("objects", "check", "seen", "fix"),
    [
        (without("registry"), "secrets.pull", "Secret calls/registry", "create secret docker-registry registry"),
        (
            right() | dict([secret("registry", password=HUB_TOKEN)]),
            "secrets.pull",
            ".dockerconfigjson; it has password",
            "create secret docker-registry",
        ),
        (without("hugging-face"), "pool.hub-token", "Secret calls/hugging-face", "--from-file=token=…"),
        (
            right() | dict([secret("hugging-face", HF_TOKEN=HUB_TOKEN)]),
            "pool.hub-token",
            "token; it has HF_TOKEN",
            "in the values",
        ),
    ],
)
def test_other_secrets(objects: Objects, check: str, seen: str, fix: str, looked: Looker) -> None:
    report = looked(objects, values())
    assert not_passed(report) == {check: "fail"}, findings_text(report)
    assert seen in finding(report, check).seen
    assert fix in (finding(report, check).fix or "")
    assert_no_secret_is_shown(report)


def test_the_ingress_certificate(looked: Looker) -> None:
    """A warning, because cert-manager may create it later."""
    given = values(ingress={"enabled": True, "className": "nginx", "tlsSecret": "voice-tls"})
    report = looked(right(), given)
    assert not_passed(report) == {"secrets.tls": "warn"}, findings_text(report)
    found = finding(looked(right() | dict([secret("voice-tls", **{"tls.crt": "c", "tls.key": "k"})]), given), "secrets.tls")
    assert found.outcome == "pass"


def test_the_external_secrets_store(looked: Looker) -> None:
    report = looked(right(), values(keys=EXTERNAL))
    assert not_passed(report) == {"keys.store": "fail"}, findings_text(report)
    assert finding(report, "keys.store").seen.startswith("the SecretStore vault ")
    report = looked(right() | {STORE: {"metadata": {"name": "vault"}}}, values(keys=EXTERNAL))
    assert not_passed(report) == {}, findings_text(report)
    report = looked(right(), values(keys={"externalSecret": {"enabled": True}}))
    assert "storeName or remoteKey" in finding(report, "keys.store").seen


def assert_no_secret_is_shown(report: Any) -> None:
    console = Console(record=True, width=200, quiet=True)
    show(report, console)
    shown = as_json(report) + console.export_text()
    for part in (PLAIN_KEY, "nobody-may-see-this", "nobody_may_see_this", OTHER_KEY, SALT):
        assert part not in shown


def test_nothing_of_a_right_cluster_is_told(looked: Looker) -> None:
    report = looked(right(), values())
    assert (SECRETS, "calls", "hugging-face") in right()
    assert_no_secret_is_shown(report)
