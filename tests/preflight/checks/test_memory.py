"""GPU memory compared with the model's size: from the values, from the hub, and when neither has it."""

import pytest

from service.preflight.cluster.model_hub import ModelHub
from tests.preflight.hub import model_hub, repository
from tests.preflight.looking import Looker, finding, findings_text, not_passed
from tests.preflight.right_cluster import NODES, Json, pool, right, values

UNKNOWN_SIZE = {"name": "Qwen/Qwen3-8B"}

# Configurations from the hub.
QWEN3_8B = {
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_size": 4096,
    "max_position_embeddings": 40960,
}
INFO: Json = {"safetensors": {"parameters": {"BF16": 8_190_735_360}}}


def with_hub(looked: Looker, given: Json, info: Json | int = INFO, config: Json | int = QWEN3_8B) -> tuple[str, str, str]:
    """Return outcome, seen and fix."""
    with model_hub(repository("Qwen/Qwen3-8B", info, config)) as hub:
        found = finding(looked(right(), given, hub=ModelHub(hub.url)), "pool.gpu-memory")
    return found.outcome, found.seen, found.fix or ""


def test_the_hub_says_how_large_the_model_is(looked: Looker) -> None:
    outcome, seen, _ = with_hub(looked, pool(model=UNKNOWN_SIZE | {"weightsGiB": 0, "kvKiBPerToken": 0}))
    assert outcome == "pass"
    for fact in ("15.3 GiB", "411,560 tokens", "71.8 GiB", "1 GPU of 79.6 GiB", "0.92", "1.5 GiB each", "50.2 calls", "8,192"):
        assert fact in seen


def test_the_values_are_believed_before_the_hub(looked: Looker) -> None:
    with model_hub({}) as hub:
        report = looked(right(), values(), hub=ModelHub(hub.url))
    assert (not_passed(report), hub.asked) == ({}, [])


def test_weights_that_do_not_fit(looked: Looker) -> None:
    report = looked(right(), pool(model={"weightsGiB": 140}))
    assert not_passed(report) == {"pool.gpu-memory": "fail"}, findings_text(report)
    found = finding(report, "pool.gpu-memory")
    assert "140.0 GiB" in found.seen and "71.8 GiB" in found.seen
    assert "GPUs" in (found.fix or "") and "quantized" in (found.fix or "")
    assert finding(looked(right(), pool(model={"weightsGiB": 140}, gpu={"count": 4})), "pool.gpu-memory").outcome == "pass"


def test_a_context_that_does_not_fit(looked: Looker) -> None:
    found = finding(looked(right(), pool(engineArgs={"max_model_len": "1m"})), "pool.gpu-memory")
    assert found.outcome == "fail"
    assert "1,000,000" in found.seen
    assert "engineArgs.max_model_len to 401k" in (found.fix or "")


def test_a_context_that_fits_a_few_times(looked: Looker) -> None:
    found = finding(looked(right(), pool(engineArgs={"max_model_len": 131072})), "pool.gpu-memory")
    assert (found.outcome, "3.1 calls" in found.seen) == ("warn", True)


def test_without_max_model_len_the_models_own_context_counts(looked: Looker) -> None:
    given = pool(model=UNKNOWN_SIZE | {"weightsGiB": 0, "kvKiBPerToken": 0})
    given["poolDefaults"]["engineArgs"] = {}
    assert "(40,960)" in with_hub(looked, given)[1]
    given["poolDefaults"]["model"] = values()["poolDefaults"]["model"]
    found = finding(looked(right(), given), "pool.gpu-memory")
    assert (found.outcome, "max_model_len" in (found.fix or "")) == ("warn", True)


def test_less_of_the_gpu_may_be_used(looked: Looker) -> None:
    found = finding(looked(right(), pool(engineArgs={"gpu_memory_utilization": 0.2})), "pool.gpu-memory")
    assert found.outcome == "fail"
    assert "1 GPU of 79.6 GiB" in found.seen and " 0.2" in found.seen


@pytest.mark.parametrize(
    ("label", "gib", "resource", "expected_gib"),
    [
        ("24564", 0, "nvidia.com/gpu", "24.0"),
        (None, 48, "nvidia.com/gpu", "48.0"),
        ("81559", 48, "nvidia.com/gpu", "79.6"),
        (None, 0, "nvidia.com/mig-3g.40gb", "37.3"),
    ],
)
def test_where_the_gpus_memory_is_known_from(
    label: str | None, gib: float, resource: str, expected_gib: str, looked: Looker
) -> None:
    objects = right()
    for (kind, _, _), document in objects.items():
        if kind == NODES:
            document["metadata"]["labels"].pop("nvidia.com/gpu.memory", None)
            if label:
                document["metadata"]["labels"]["nvidia.com/gpu.memory"] = label
            document["status"]["allocatable"]["nvidia.com/mig-3g.40gb"] = "4"
    report = looked(objects, pool(gpu={"memoryGiB": gib, "resource": resource}))
    assert f"1 GPU of {expected_gib} GiB" in finding(report, "pool.gpu-memory").seen


def test_nothing_says_the_gpus_memory(looked: Looker) -> None:
    objects = right()
    for (kind, _, _), document in objects.items():
        if kind == NODES:
            document["metadata"]["labels"].pop("nvidia.com/gpu.memory", None)
    report = looked(objects, values())
    assert not_passed(report) == {"pool.gpu-memory": "warn"}
    assert "gpu.memoryGiB" in (finding(report, "pool.gpu-memory").fix or "")


@pytest.mark.parametrize(
    ("engine_args", "outcome"),
    [
        ({"tensor_parallel_size": 2}, "fail"),
        ({"tensor_parallel_size": 4, "pipeline_parallel_size": 1}, "pass"),
        ({"tensor_parallel_size": 2, "pipeline_parallel_size": 2}, "pass"),
        ({"tensor_parallel_size": 8}, "fail"),
    ],
)
def test_parallelism_and_gpus(engine_args: Json, outcome: str, looked: Looker) -> None:
    """With four GPUs. A parallelism of 2 leaves some idle, which is a warning."""
    found = finding(looked(right(), pool(gpu={"count": 4}, engineArgs=engine_args)), "pool.parallelism")
    assert found.outcome == ("warn" if engine_args == {"tensor_parallel_size": 2} else outcome)


@pytest.mark.parametrize(
    ("info", "config", "words"),
    [
        (404, QWEN3_8B, "Qwen/Qwen3-8B (404)"),
        (401, QWEN3_8B, "(401)"),
        (INFO, 403, "(403)"),
        (500, QWEN3_8B, "(HTTPStatusError)"),
        ({"siblings": []}, QWEN3_8B, "size"),
        (INFO, {"model_type": "odd"}, "size"),
    ],
)
def test_a_hub_that_does_not_say(info: Json | int, config: Json | int, words: str, looked: Looker) -> None:
    outcome, seen, fix = with_hub(looked, pool(model=UNKNOWN_SIZE | {"weightsGiB": 0, "kvKiBPerToken": 0}), info, config)
    assert outcome == "warn"
    assert words in seen
    assert "model.weightsGiB" in fix and "model.kvKiBPerToken" in fix


def test_a_hub_that_is_not_there_is_asked_once(looked: Looker) -> None:
    given = pool(model=UNKNOWN_SIZE | {"weightsGiB": 0, "kvKiBPerToken": 0})
    report = looked(right(), given, hub=ModelHub("http://127.0.0.1:9"))
    assert not_passed(report) == {"pool.gpu-memory": "warn"}, findings_text(report)
    assert "http://127.0.0.1:9 " in finding(report, "pool.gpu-memory").seen
    assert "(ConnectError)" in finding(report, "pool.gpu-memory").seen


@pytest.mark.parametrize("way", ["--offline", "cache.offline", "a folder"])
def test_the_hub_is_not_asked(way: str, looked: Looker) -> None:
    name = "/cache/models/qwen" if way == "a folder" else "Qwen/Qwen3-8B"
    given = pool(model={"name": name, "weightsGiB": 0, "kvKiBPerToken": 0}, cache={"offline": way == "cache.offline"})
    with model_hub({}) as hub:
        report = looked(right(), given, hub=None if way == "--offline" else ModelHub(hub.url))
    assert hub.asked == []
    assert finding(report, "pool.gpu-memory").outcome == "warn"


def test_the_hub_is_asked_for_the_revision_and_with_the_token(looked: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    given = pool(model={"revision": "abc", "weightsGiB": 0, "kvKiBPerToken": 0})
    with model_hub(repository("Qwen/Qwen3-8B", INFO, QWEN3_8B, "abc")) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        report = looked(right(), given, hub=ModelHub())
    assert finding(report, "pool.gpu-memory").outcome == "pass"
    assert hub.asked == [
        ("/api/models/Qwen/Qwen3-8B/revision/abc?blobs=true", "Bearer hf_token"),
        ("/Qwen/Qwen3-8B/resolve/abc/config.json", "Bearer hf_token"),
    ]


def test_the_embedded_model_is_known(looked: Looker) -> None:
    found = finding(looked(right(), pool(model={"name": "embedded", "weightsGiB": 0, "kvKiBPerToken": 0})), "pool.gpu-memory")
    assert (found.outcome, "weights take 0.3 GiB" in found.seen) == ("pass", True)


def test_the_volume_must_hold_the_weights(looked: Looker) -> None:
    report = looked(right(), pool(cache={"size": "10Gi"}))
    assert not_passed(report) == {"pool.storage-size": "fail"}, findings_text(report)
    found = finding(report, "pool.storage-size")
    assert "15.3 GiB" in found.seen and "10.0 GiB" in found.seen


def test_windows_leave_room_for_more_calls(looked: Looker) -> None:
    """Half of the layers cache 4,096 tokens of a call's 8,192."""
    given = pool(model=UNKNOWN_SIZE | {"weightsGiB": 0, "kvKiBPerToken": 0})
    half = QWEN3_8B | {"sliding_window": 4096, "sliding_window_pattern": 2}
    seen = with_hub(looked, given, config=half)[1]
    assert "67.0 calls" in seen  # 50.24 / 0.75
    windows = with_hub(looked, given, config=QWEN3_8B | {"sliding_window": 4096})[1]
    assert "100.5 calls" in windows


def test_a_window_that_does_not_fit_is_not_fixed_by_a_shorter_context(looked: Looker) -> None:
    given = pool(model=UNKNOWN_SIZE | {"weightsGiB": 71, "kvKiBPerToken": 0})
    outcome, seen, fix = with_hub(looked, given, config=QWEN3_8B | {"sliding_window": 8000})
    assert outcome == "fail", seen
    assert "kv_cache_dtype to fp8" in fix and "max_model_len" not in fix


def test_a_repository_with_only_mistrals_own_configuration(looked: Looker) -> None:
    """params.json has other names of fields. Its 40 layers have 8 heads of 128."""
    params = {"dim": 5120, "n_layers": 40, "head_dim": 128, "n_heads": 32, "n_kv_heads": 8, "max_seq_len": 131072}
    info = INFO | {"siblings": [{"rfilename": "params.json"}, {"rfilename": "consolidated.safetensors"}]}
    answers = {"/api/models/Qwen/Qwen3-8B/revision/main": info, "/Qwen/Qwen3-8B/resolve/main/params.json": params}
    with model_hub(answers) as hub:
        given = pool(model=UNKNOWN_SIZE | {"weightsGiB": 0, "kvKiBPerToken": 0}, engineArgs={"max_model_len": None})
        found = finding(looked(right(), given, hub=ModelHub(hub.url)), "pool.gpu-memory")
    assert "(131,072)" in found.seen


def test_kv_bytes_in_the_values_are_taken_as_they_are(looked: Looker) -> None:
    """The hub is only asked for the weights: 8 GPUs with copies of 2 heads do not change the given bytes."""
    few = QWEN3_8B | {"num_key_value_heads": 2}
    given = pool(model={"weightsGiB": 0, "kvKiBPerToken": 144}, gpu={"count": 8}, replicas=1)
    assert with_hub(looked, given, config=few)[1] == with_hub(looked, given, config=QWEN3_8B)[1]


def test_more_gpus_than_heads_keep_each_several_times(looked: Looker) -> None:
    few = QWEN3_8B | {"num_key_value_heads": 2}
    given = pool(model={"weightsGiB": 0, "kvKiBPerToken": 0}, gpu={"count": 8}, replicas=1)
    two, eight = with_hub(looked, given, config=few)[1], with_hub(looked, given, config=QWEN3_8B)[1]
    assert "4,070,141 tokens" in eight
    assert two.split(";")[0] == eight.split(";")[0]  # A quarter of the heads, with four copies of each.


@pytest.mark.parametrize(
    "url",
    ["http://me:hub-password@127.0.0.1:9", "http://me:p@hub-password@127.0.0.1:9/hf?token=hub-password", "http://hub-password@["],
)
def test_the_hubs_password_is_not_told(url: str, looked: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", url)
    given = pool(model=UNKNOWN_SIZE | {"weightsGiB": 0, "kvKiBPerToken": 0})
    report = looked(right(), given, hub=ModelHub())
    assert "the model hub http://" in finding(report, "pool.gpu-memory").seen
    assert "hub-password" not in report.model_dump_json()
