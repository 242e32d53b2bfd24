"""The three sources of API keys. A key is in the Secret and nowhere else."""

import base64
import re

import pytest
import yaml
from helm_python import Config, HelmRenderError

from service.tenants.key_file import KeyFile
from tests.chart.api_server import api_server, kubeconfig
from tests.chart.pools import each_scenario, env_of, mounts, server
from tests.chart.rendering import CHART, MINIMAL, NAMESPACE, RELEASE, Json, Rendered, merged, render, scenario, values_of

GENERATE: Json = {"keys": {"generate": True}}


def generated(rendered: Rendered) -> dict[str, str]:
    (secret,) = rendered.of("Secret")
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_a_generated_key_opens_the_generated_file() -> None:
    data = generated(render(GENERATE))
    file = KeyFile.model_validate(yaml.safe_load(data["keys.yaml"]))
    (entry,) = file.keys
    assert re.fullmatch(rf"fw_{entry.id}_[A-Za-z0-9]{{43}}", data["api-key"])


def test_each_install_has_a_key_of_its_own() -> None:
    assert generated(render(GENERATE)) != generated(render(GENERATE))


def test_an_upgrade_that_cannot_read_the_secret_is_refused() -> None:
    """`helm template`, GitOps, and dry runs see no cluster: a new key there would lock out all callers."""
    with pytest.raises(HelmRenderError, match=r"keys\.generate.*keys\.existingSecret"):
        render(GENERATE, is_upgrade=True)


def test_the_key_is_in_the_secret_and_nowhere_else() -> None:
    rendered = render(values_of("cpu"))
    (secret,), data = rendered.of("Secret"), generated(rendered)
    for part in (data["api-key"], data["api-key"].split("_")[2], yaml.safe_load(data["keys.yaml"])["salt"]):
        assert part not in rendered.text
    for encoded in secret["data"].values():
        assert rendered.text.count(encoded) == 1
        assert encoded not in rendered.notes


@each_scenario
def test_the_notes_say_where_the_key_lies_and_not_what_it_is(name: str) -> None:
    rendered, keys = scenario(name), values_of(name)["keys"]
    secret = keys.get("existingSecret") or "voice-firstword-keys"
    assert f"Secret calls/{secret}, key {keys.get('plainKey', 'api-key')}" in rendered.notes
    assert not re.search(r"fw_[0-9a-zA-Z]+_[0-9A-Za-z]+", rendered.notes)


@each_scenario
def test_the_secret_is_mounted_as_a_folder(name: str) -> None:
    """A subPath mount never changes, so a key rotation would need a restart."""
    secret = values_of(name)["keys"].get("existingSecret") or "voice-firstword-keys"
    for pod in scenario(name).pods:
        for container in pod.containers:
            for mount, volume in mounts(pod, container):
                if "secret" in volume:
                    assert "subPath" not in mount and "subPathExpr" not in mount, pod.name
                    assert volume["secret"]["secretName"] == secret
                    assert mount["readOnly"] is True
        assert not [env for each in pod.containers for env in each.get("envFrom", ())]


@each_scenario
def test_servers_read_the_file_and_tools_the_plain_key(name: str) -> None:
    keys = values_of(name)["keys"]
    secret = keys.get("existingSecret") or "voice-firstword-keys"
    for pod in scenario(name).pods:
        if pod.role == "server":
            (volume,) = (volume for _, volume in mounts(pod, server(pod)) if "secret" in volume)
            assert [item["key"] for item in volume["secret"]["items"]] == [keys.get("fileKey", "keys.yaml")]
        elif pod.labels["app.kubernetes.io/component"] in ("check", "load-test"):
            given = env_of(pod.spec["containers"][0])["FIRSTWORD_API_KEY"]
            assert given == {"secretKeyRef": {"name": secret, "key": keys.get("plainKey", "api-key")}}
        else:
            assert secret not in str(pod.spec)


def test_a_vaults_key_becomes_a_key_file() -> None:
    """Renders the template as External Secrets would. The test replaces the sprig functions."""
    (document,) = scenario("kitchen-sink").of("ExternalSecret")
    data = document["spec"]["target"]["template"]["data"]
    key = "fw_9c0d2e41_abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq"
    salt = "ab" * 32
    rendered = {
        name: text.replace("{{ .apiKey | sha256sum }}", salt).replace("{{ .apiKey }}", key) for name, text in data.items()
    }
    assert "{{" not in str(rendered)
    assert rendered["plain"] == key
    (entry,) = KeyFile.model_validate(yaml.safe_load(rendered["file.yaml"])).keys
    assert (entry.id, entry.tenant) == ("9c0d2e41", "acme")
    assert document["spec"]["target"]["name"] == "voice-firstword-keys"
    assert document["spec"]["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "vault"}


def test_an_existing_secret_is_left_alone() -> None:
    rendered = render(MINIMAL)
    assert rendered.of("Secret") == rendered.of("ExternalSecret") == []


def test_an_upgrade_keeps_the_key() -> None:
    """With access to the cluster, the chart keeps the existing Secret, also keys that were added by hand."""
    (secret,) = render(GENERATE).of("Secret")
    secret["data"]["more"] = base64.b64encode(b"by hand").decode()
    with api_server(secret) as url, Config(kubeconfig_content=kubeconfig(url), namespace=NAMESPACE) as cluster:
        files = cluster.render(CHART, GENERATE, name=RELEASE, namespace=NAMESPACE, is_upgrade=True, is_install=False)
    assert yaml.safe_load(files["firstword/templates/keys.yaml"])["data"] == secret["data"]


@pytest.mark.parametrize(
    ("keys", "more", "missing"),
    [
        ({"fileKey": "new.yaml"}, {}, r'"new\.yaml".* api-key, keys\.yaml'),
        ({"plainKey": "plain"}, {}, r'"plain".* api-key, keys\.yaml'),
        # Nothing reads the plain key, so it may be missing.
        ({"plainKey": "plain"}, {"check": {"enabled": False}}, None),
    ],
)
def test_an_upgrade_does_not_give_the_pods_a_secret_without_their_keys(keys: Json, more: Json, missing: str | None) -> None:
    """Otherwise the pods would wait for the new name forever. The chart does not guess what the old name holds."""
    (secret,) = render(GENERATE).of("Secret")
    values = merged(GENERATE, {"keys": keys, **more})
    with api_server(secret) as url, Config(kubeconfig_content=kubeconfig(url), namespace=NAMESPACE) as cluster:
        if missing is None:
            files = cluster.render(CHART, values, name=RELEASE, namespace=NAMESPACE, is_upgrade=True, is_install=False)
            assert yaml.safe_load(files["firstword/templates/keys.yaml"])["data"] == secret["data"]
            return
        with pytest.raises(HelmRenderError, match=missing) as refused:
            cluster.render(CHART, values, name=RELEASE, namespace=NAMESPACE, is_upgrade=True, is_install=False)
    assert "by hand" in str(refused.value)
    assert not any(value in str(refused.value) for value in secret["data"].values())


def test_an_upgrade_after_the_secret_is_gone_is_refused() -> None:
    (secret,) = render(GENERATE, namespace="elsewhere").of("Secret")
    with (
        api_server(secret) as url,
        Config(kubeconfig_content=kubeconfig(url), namespace=NAMESPACE) as cluster,
        pytest.raises(HelmRenderError, match=r"keys\.generate"),
    ):
        cluster.render(CHART, GENERATE, name=RELEASE, namespace=NAMESPACE, is_upgrade=True, is_install=False)
