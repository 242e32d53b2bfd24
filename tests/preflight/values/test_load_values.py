"""Values files: merged as Helm and the chart merge them, and refused with the path and what to change."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.preflight.finding import PreflightError
from service.preflight.values.chart_values import Values
from service.preflight.values.load_values import read_values
from service.preflight.values.pool_values import Pool
from tests.chart.pools import config_of
from tests.chart.rendering import FOLDER, MINIMAL, SCENARIOS, Json, merged, render


@pytest.fixture
def pools(tmp_path: Path) -> "Read":
    return Read(tmp_path)


class Read:
    """Writes documents to files and reads the pools."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *documents: Json | str) -> tuple[Pool, ...]:
        files = []
        for number, document in enumerate(documents):
            file = self.folder / f"{number}.yaml"
            file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
            files.append(file)
        return read_values(files)[1]

    def refusal(self, *documents: Json | str) -> str:
        with pytest.raises(PreflightError) as refused:
            self(*documents)
        return str(refused.value)


def test_without_a_file_the_charts_own_values_hold(pools: Read) -> None:
    assert pools() == (Pool(name="default"),)
    assert pools("") == (Pool(name="default"),)
    assert pools("# nothing but words\n") == (Pool(name="default"),)


def test_a_pool_is_over_the_defaults_over_the_charts(pools: Read) -> None:
    (one, two) = pools(
        {
            "pools": [{"name": "one"}, {"name": "two", "gpu": {"count": 4}, "engineArgs": {"max_model_len": 4096}}],
            "poolDefaults": {"gpu": {"count": 2, "product": "L4"}, "engineArgs": {"dtype": "auto"}},
        }
    )
    assert (one.gpu.count, one.gpu.product, one.gpu.resource) == (2, "L4", "nvidia.com/gpu")
    assert (two.gpu.count, two.gpu.product) == (4, "L4")
    assert two.engine_args == {"dtype": "auto", "max_model_len": 4096}


def test_later_files_win_and_lists_are_whole(pools: Read) -> None:
    first = {"poolDefaults": {"replicas": 2, "nodeSelector": {"a": "1"}, "tolerations": [{"key": "x"}, {"key": "y"}]}}
    second = {"poolDefaults": {"nodeSelector": {"b": "2"}, "tolerations": [{"key": "z"}]}}
    (pool,) = pools(first, second)
    assert (pool.replicas, pool.node_selector, pool.tolerations) == (2, {"a": "1", "b": "2"}, [{"key": "z"}])


def test_null_takes_a_default_away(pools: Read) -> None:
    (pool,) = pools({"poolDefaults": {"tolerations": None, "hostname": None, "resources": {"limits": {"memory": None}}}})
    assert (pool.tolerations, pool.hostname, pool.resources.limits) == ([], "", {})
    (pool,) = pools({"poolDefaults": {"nodeSelector": {"a": "1", "b": "2"}}}, {"poolDefaults": {"nodeSelector": {"a": None}}})
    assert pool.node_selector == {"b": "2"}


def paths(document: Json, *before: str) -> Iterator[tuple[str, ...]]:
    for key, value in document.items():
        yield (*before, key)
        if isinstance(value, dict):
            yield from paths(value, *before, key)


@pytest.mark.parametrize("path", [*paths(Values().model_dump(by_alias=True))], ids=".".join)
def test_null_that_the_chart_cannot_do_with_is_refused(path: tuple[str, ...], pools: Read) -> None:
    given: Any = None
    for key in reversed(path):
        given = {key: given}
    try:
        render(merged(MINIMAL, given))
    except Exception:
        if path == ("keys", "existingSecret"):
            return  # The same as without a value: a check reports it.
        pools.refusal(merged(MINIMAL, given))


def test_a_chart_around_this_one_may_have_global_values(pools: Read) -> None:
    assert len(pools({"global": {"registry": "x"}})) == 1


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("poolDefaults: {replicas: 3}"))
    assert read_values([Path("-")])[1][0].replicas == 3


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_pools_are_those_that_helm_renders(scenario: str) -> None:
    file = FOLDER / f"ci/{scenario}-values.yaml"
    rendered = render(yaml.safe_load(file.read_text()))
    for pool in read_values([file])[1]:
        config = config_of(rendered, pool.name)
        assert config["model"] == pool.model.name
        assert config["engine_args"].items() >= pool.engine_args.items()
        server = rendered.server(pool.name).spec
        assert server.get("tolerations", []) == pool.tolerations
        assert server.get("runtimeClassName", "") == pool.runtime_class_name


@pytest.mark.parametrize(
    ("document", "line"),
    [
        (
            {"poolDefaults": {"gpu": {"count": -1}}},
            "poolDefaults.gpu.count: -1 .*greater than or equal to 0",
        ),
        ({"poolDefaults": {"gpu": {"cuont": 2}}}, "poolDefaults.gpu.cuont: .* count"),
        ({"zzz": 1}, "zzz: "),
        ({"pools": [{"name": "a", "replicas": "2"}]}, r"pools\[0\].replicas: '2' .*integer"),
        ({"pools": [{"replicas": 2}]}, r"pools\[0\].name: .*required"),
        ({"pools": [{"name": "A"}]}, r"pools\[0\].name: 'A' "),
        ({"pools": []}, "pools: a list .*at least 1 item"),
        ({"pools": [{"name": "a", "cache": {"type": "nfs"}}]}, r"pools\[0\].cache.type: 'nfs' .*'claim'"),
        ({"poolDefaults": {"resources": {"requests": {"cpu": "4 cores"}}}}, "resources.requests.cpu: '4 cores' "),
        ({"poolDefaults": {"image": {"tag": 1.5}}}, "poolDefaults.image.tag: 1.5 .*string"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(document: Json, line: str, pools: Read) -> None:
    assert re.search(f"\n  {line}", pools.refusal(document).replace('pools, "default": ', ""))


def test_everything_that_is_wrong_is_told_at_once(pools: Read) -> None:
    message = pools.refusal({"poolDefaults": {"replicas": 0}, "keys": {"generate": "yes"}})
    assert len(message.splitlines()) == 3


def test_what_stands_under_an_unknown_key_is_not_told(pools: Read) -> None:
    """It may be a key in the wrong place."""
    assert "fw_secret" not in pools.refusal({"apiKey": "fw_secret"})


SECRET = "hf_verysecrettoken123"


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"poolDefaults": {"env": {"HF_TOKEN": SECRET}}}, "poolDefaults.env: a map "),
        ({"poolDefaults": {"env": [{"name": "HF_TOKEN", "value": [SECRET]}]}}, "poolDefaults.env[0].value: a list "),
        ({"poolDefaults": {"env": SECRET}}, "poolDefaults.env: a string "),
        ({"keys": {"existingSecret": [SECRET]}}, "keys.existingSecret: a list "),
        ({"keys": {"existingSecret": "fw_aa_secretsecret"}}, ""),
        ({"keys": {"generate": SECRET}}, "keys.generate: a string "),
        ({"keys": {SECRET: 1}}, "keys.…: "),
        ({"poolDefaults": {"cache": {"tokenSecret": {"token": SECRET}}}}, "cache.tokenSecret: a map "),
        ({"poolDefaults": {"settings": {"max_turns": SECRET}}}, "poolDefaults.settings.max_turns: a string "),
        ({"poolDefaults": {"resources": {"limits": {"cpu": SECRET}}}}, "resources.limits.cpu: a string "),
        ({"poolDefaults": {"replicas": SECRET}}, "poolDefaults.replicas: a string "),
        ({"pools": SECRET}, "pools: a string "),
    ],
)
def test_what_may_be_a_secret_is_not_told(document: Json, path: str, pools: Read) -> None:
    message = pools.refusal(document)
    assert path in message
    assert SECRET not in message
    assert "secretsecret" not in message


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"port": 1}, "settings.port: the chart sets this"),
        ({"api_keys": "acme=fw_1_2"}, "settings.api_keys: the chart sets this"),
        ({"nonsense": 2}, "settings.nonsense: unknown"),
        ({"ttft_budget": 2}, "settings.ttft_budget: .* ttft_budget_s"),
        ({"max_choices": 0}, "settings.max_choices: a number .*greater than or equal to 1"),
    ],
)
def test_settings_are_the_services_own(settings: Json, line: str, pools: Read) -> None:
    assert re.search(f"\n  poolDefaults.{line}", pools.refusal({"poolDefaults": {"settings": settings}}))
    assert re.search(rf"\n  pools\[0\].{line}", pools.refusal({"pools": [{"name": "a", "settings": settings}]}))
    assert pools({"poolDefaults": {"settings": {"ttft_budget_s": 2, "otlp_endpoint": None}}})


@pytest.mark.parametrize("head", ["USER-SUPPLIED VALUES:\n", "USER-SUPPLIED VALUES:\r\n", "COMPUTED VALUES:\n"])
def test_the_first_line_of_helm_get_values(head: str, pools: Read) -> None:
    assert pools(f"{head}poolDefaults:\n  replicas: 3\n")[0].replicas == 3
    assert len(pools(f"{head}null\n")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pools: [", "YAML at line 1, column 9"),
        ("- a\n- b", "it is a list"),
        ("just words", "it is a string"),
    ],
)
def test_a_file_that_is_none(text: str, words: str, pools: Read) -> None:
    assert words in pools.refusal(text)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=r"none\.yaml cannot be read: No such file"):
        read_values([tmp_path / "none.yaml"])
    (tmp_path / "latin").write_bytes(b"name: k\xf6ln")
    with pytest.raises(PreflightError, match=r"latin .*UTF-8"):
        read_values([tmp_path / "latin"])
