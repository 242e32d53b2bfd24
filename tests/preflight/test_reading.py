"""Values files, merged as Helm and the chart merge them, and refused with what to change."""

import io
from pathlib import Path

import pytest
import yaml

from service.preflight.finding import CannotLook
from service.preflight.pool_values import Pool
from service.preflight.reading import read_values
from tests.chart.pools import config_of
from tests.chart.rendering import FOLDER, SCENARIOS, Json, render


@pytest.fixture
def pools(tmp_path: Path) -> "Read":
    return Read(tmp_path)


class Read:
    """Documents as files, read to pools."""

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
        with pytest.raises(CannotLook) as refused:
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
    (pool,) = pools({"poolDefaults": {"tolerations": None, "resources": {"limits": None}, "replicas": None}})
    assert (pool.tolerations, pool.resources.limits, pool.replicas) == ([], {}, 1)
    (pool,) = pools({"poolDefaults": {"nodeSelector": {"a": "1", "b": "2"}}}, {"poolDefaults": {"nodeSelector": {"a": None}}})
    assert pool.node_selector == {"b": "2"}


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
            "poolDefaults.gpu.count: -1 is refused: Input should be greater than or equal to 0.",
        ),
        ({"poolDefaults": {"gpu": {"cuont": 2}}}, "poolDefaults.gpu.cuont: there is no such value; did you mean count?"),
        ({"zzz": 1}, "zzz: there is no such value; take it out."),
        ({"pools": [{"name": "a", "replicas": "2"}]}, "pools[0].replicas: '2' is refused: Input should be a valid integer."),
        ({"pools": [{"replicas": 2}]}, "pools[0].name: this is needed."),
        ({"pools": [{"name": "A"}]}, "pools[0].name: 'A' is refused:"),
        ({"pools": []}, "pools: [] is refused: List should have at least 1 item"),
        ({"pools": [{"name": "a", "cache": {"type": "nfs"}}]}, "pools[0].cache.type: 'nfs' is refused: Input should be 'claim'"),
        ({"poolDefaults": {"resources": {"requests": {"cpu": "4 cores"}}}}, "resources.requests.cpu: '4 cores' is refused"),
        ({"poolDefaults": {"image": {"tag": 1.5}}}, "poolDefaults.image.tag: 1.5 is refused: Input should be a valid string."),
    ],
)
def test_a_wrong_value_is_named_by_its_path(document: Json, line: str, pools: Read) -> None:
    assert f"\n  {line}" in pools.refusal(document).replace('pools, "default": ', "")


def test_everything_that_is_wrong_is_told_at_once(pools: Read) -> None:
    told = pools.refusal({"poolDefaults": {"replicas": 0}, "keys": {"generate": "yes"}})
    assert len(told.splitlines()) == 3


def test_what_stands_under_an_unknown_key_is_not_told(pools: Read) -> None:
    """It may be a key that was put in the wrong place."""
    assert "fw_secret" not in pools.refusal({"apiKey": "fw_secret"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pools: [", "is no valid YAML at line 1, column 9"),
        ("- a\n- b", "must be a map of values, such as `pools: […]`; it is a list"),
        ("just words", "it is a text"),
    ],
)
def test_a_file_that_is_none(text: str, words: str, pools: Read) -> None:
    assert words in pools.refusal(text)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match="cannot be read: No such file"):
        read_values([tmp_path / "none.yaml"])
    (tmp_path / "latin").write_bytes(b"name: k\xf6ln")
    with pytest.raises(CannotLook, match="is no text in UTF-8"):
        read_values([tmp_path / "latin"])
