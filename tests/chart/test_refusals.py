"""Helm refuses values that cannot work before it installs anything, and the message says what to change."""

import re
from typing import Any, get_args

import pytest
from helm_python import HelmRenderError, HelmValuesError

from loadtest.calls.scenarios import SCENARIOS
from service.preflight.values.chart_values import LoadTest
from tests.chart.pools import server
from tests.chart.rendering import MINIMAL, Json, merged, render

TWO: Json = {"pools": [{"name": "large"}, {"name": "small"}]}
GATEWAY: Json = {"gateway": {"enabled": True, "parentRefs": [{"name": "public"}]}}
PROMETHEUS: Json = {"prometheus": {"url": "http://prometheus:9090"}}
HOSTNAMES: Json = {"pools": [{"name": "large", "hostname": "l.example.com"}, {"name": "small", "hostname": "s.example.com"}]}
SCALED: Json = {"enabled": True, "turnsPerSecond": 5}
CRON: Json = {"start": "0 8 * * *", "end": "0 9 * * *", "timezone": "Etc/UTC"}
DIGEST = "sha256:" + "0" * 64


def pool(**said: Any) -> Json:
    return {"pools": [{"name": "default", **said}]}


def split(*shares: tuple[str, int], hostname: str = "t.example.com", name: str = "trial") -> Json:
    listed = [{"pool": pool, "weight": weight} for pool, weight in shares]
    return merged(HOSTNAMES, merged(GATEWAY, {"gateway": {"splits": [{"name": name, "hostname": hostname, "shares": listed}]}}))


def env(*names: str) -> Json:
    return {"poolDefaults": {"env": [{"name": name, "value": "1"} for name in names]}}


def adapter(name: str) -> Json:
    return {"name": name, "path": "/cache/a"}


CANNOT_WORK: dict[str, tuple[Json, str]] = {
    "zero GPUs on a GPU pool": (pool(gpu={"count": 0}), r"default.*gpu\.count.*gpu\.enabled"),
    "zero GPUs for every pool": ({"poolDefaults": {"gpu": {"count": 0}}}, r"gpu\.count"),
    "two pools of one name": ({"pools": [{"name": "a"}, {"name": "a"}]}, r'pools: .*"a"'),
    "several nodes without GPUs": (pool(nodes=2, gpu={"enabled": False}), r"nodes.*gpu\.enabled"),
    "no key at all": ({"keys": {"existingSecret": ""}}, r"keys\.existingSecret.*keys\.generate"),
    "two ways to keys": ({"keys": {"generate": True}}, r"keys\.existingSecret and keys\.generate.*one"),
    "a vault without an entry": (
        {"keys": {"existingSecret": "", "externalSecret": {"enabled": True}}}, r"keys\.externalSecret.*storeName and remoteKey",
    ),
    "a pool's name that is too long": ({"pools": [{"name": "p" * 30}], "name": "r" * 40}, r"81 characters.* 52\b"),
    "a pool named like a dashboard": ({"pools": [{"name": "dashboard-engine"}]}, "dashboard-engine.*dashboard-"),
    "a pool named like a load test": ({"pools": [{"name": "loadtest-1"}]}, "loadtest-1.*loadtest-"),
    "an adapter from nowhere": (pool(adapters=[{"name": "a"}]), "either repo or path"),
    "an adapter from two places": (pool(adapters=[{"name": "a", "repo": "x/y", "path": "/cache/a"}]), "either repo or path"),
    "two adapters of one name": (pool(adapters=[{"name": "a", "path": "/cache/a"}] * 2), r'adapters .*"a"'),
    "an existing claim without a name": (pool(cache={"type": "existing"}), r"cache\.existingClaim"),
    "a claim's name that is not used": (pool(cache={"existingClaim": "models"}), r"cache\.type to existing"),
    "offline on an empty disk": (pool(cache={"offline": True}, model={"name": "a/b"}), r"cache\.offline.*claim"),
    "a shared volume for one node": (
        pool(replicas=2, cache={"type": "claim", "accessMode": "ReadWriteOnce"}),
        r"cache\.accessMode to ReadWriteMany.*perReplica",
    ),
    "a shared volume for one node, in a rollout": (
        pool(rollout={"spareGpus": True}, cache={"type": "claim", "accessMode": "ReadWriteOncePod"}), r"cache\.accessMode",
    ),
    "root": ({"securityContext": {"runAsUser": 0}}, r"securityContext\.runAsUser.*root"),
    "autoscaling without turns per second": (
        PROMETHEUS | pool(autoscaling={"enabled": True}), r"autoscaling\.turnsPerSecond.*launch report",
    ),
    "autoscaling without Prometheus": (pool(autoscaling=SCALED), r"prometheus\.url"),
    "least above most": (
        PROMETHEUS | pool(autoscaling=SCALED | {"minReplicas": 9}), r"minReplicas is 9\b.*maxReplicas\b.* 4\b",
    ),
    "a ramp above the most": (
        PROMETHEUS | pool(autoscaling=SCALED | {"cron": [CRON | {"replicas": 5}]}), r"autoscaling\.cron.*maxReplicas",
    ),
    "a gateway without a listener": ({"gateway": {"enabled": True}}, r"gateway\.parentRefs"),
    "pools without a hostname": (GATEWAY | TWO, r'"large": hostname'),
    "one pool without a hostname": (GATEWAY, r'"default": hostname.*gateway\.enabled'),
    "an ingress without a hostname": ({"ingress": {"enabled": True}}, r"hostname.*ingress\.enabled"),
    "two pools of one hostname": (
        GATEWAY | {"pools": [{"name": "a", "hostname": "x.example.com"}, {"name": "b", "hostname": "x.example.com"}]},
        r"same hostname.*gateway\.splits",
    ),
    "a split between pools that are not there": (split(("large", 1), ("medium", 1)), r'pool "medium".*large, small'),
    "a split that serves nobody": (split(("large", 0), ("small", 0)), "weights are 0"),
    "a split on a pool's hostname": (split(("large", 1), hostname="s.example.com"), "s\\.example\\.com"),
    "a split without a gateway": (
        merged(split(("large", 1)), {"gateway": {"enabled": False}}), r"gateway\.enabled to true",
    ),
    "a picker that nobody asks": ({"inferencePool": {"enabled": True}}, r"inferencePool\.enabled.*gateway\.enabled"),
    "a release named by a number": ({"name": "123"}, r"release name \"123\".*letter"),
    "a release named like a domain": ({"name": "my.release"}, "release name.*my.release"),
    "a release's name that is too long for the load test": (
        {"loadTest": {"enabled": True}, "name": "r" * 32}, r"loadTest\.enabled.*64 characters",
    ),
    "one key of the Secret for two": ({"keys": {"fileKey": "a", "plainKey": "a"}}, "fileKey and plainKey"),
    "a setting as a variable": (env("FIRSTWORD_TTFT_BUDGET_S"), r"FIRSTWORD_TTFT_BUDGET_S.*`settings`.*ttft_budget_s"),
    "a variable for working offline": (env("HF_HUB_OFFLINE"), r"HF_HUB_OFFLINE.*cache\.offline"),
    "the hub's token as a variable": (env("HF_TOKEN"), r"HF_TOKEN.*cache\.tokenSecret"),
    "a variable for the home folder": (env("HOME"), "sets HOME.*cache volume"),
    "a variable for a cache": (env("VLLM_CACHE_ROOT"), "sets VLLM_CACHE_ROOT.*cache volume"),
    "a variable for statistics": (env("VLLM_NO_USAGE_STATS"), "sets VLLM_NO_USAGE_STATS.*Remove"),
    "a node's address as a variable": (merged(env("VLLM_HOST_IP"), pool(nodes=2)), "sets VLLM_HOST_IP.*Remove"),
    "a variable twice": (env("NCCL_DEBUG", "NCCL_DEBUG"), "NCCL_DEBUG.*twice"),
    "a label by which the Service finds pods": (pool(podLabels={"firstword.io/pool": "x"}), r"podLabels: .*firstword\.io/pool"),
    "a label of Kubernetes's usual ones": (pool(podLabels={"app.kubernetes.io/component": "x"}), "podLabels: .*io/component"),
    "the checksum as an annotation": (pool(podAnnotations={"firstword.io/config": "x"}), "podAnnotations: .*io/config"),
    "a hook as an annotation": (pool(podAnnotations={"helm.sh/hook": "test"}), r"podAnnotations: .*helm\.sh/hook"),
    "the container for logs": (
        pool(podAnnotations={"kubectl.kubernetes.io/default-container": "x"}), "podAnnotations: .*kubectl.*default-container",
    ),
    "a label of the alerts that is ours": (
        {"monitoring": {"rules": {"labels": {"app.kubernetes.io/name": "x"}}}}, r"monitoring\.rules\.labels: .*app\.kubernetes",
    ),
    "an adapter named like the served model": (
        pool(model={"name": "a/b", "servedName": "agent"}, adapters=[adapter("agent")]), 'adapter "agent".*agent',
    ),
    "an adapter named like the model": (pool(model={"name": "gpt2"}, adapters=[adapter("gpt2")]), 'adapter "gpt2".*gpt2'),
    "an adapter named like the model's folder": (
        pool(model={"name": "/cache/models/qwen"}, adapters=[adapter("qwen")]), 'adapter "qwen".*qwen',
    ),
    "an adapter named like the embedded model": (pool(adapters=[adapter("SmolLM2-135M-Instruct")]), 'adapter "SmolLM2-135M'),
    "an adapter named like an alias": (pool(model={"aliases": ["x"]}, adapters=[adapter("x")]), 'adapter "x".*x'),
    "a canary by tag over a digest for all": (
        {"poolDefaults": {"image": {"digest": DIGEST}}} | pool(image={"tag": "0.2.0"}), r"tag is 0\.2\.0,.*poolDefaults.*\"\"",
    ),
    "more memory asked for than allowed": (pool(resources={"requests": {"memory": "32Gi"}}), "memory is 32Gi.*limits.* 24Gi"),
    "more memory asked for, in another unit": (
        pool(resources={"requests": {"memory": "3000Mi"}, "limits": {"memory": "2.5Gi"}}), r"memory is 3000Mi.*limits.* 2\.5Gi",
    ),
    "more shared memory than memory": (pool(shmGiB=25), r"25Gi.*limits\.memory.* 24Gi.*shmGiB"),
    "the usual memory for eight GPUs": (pool(gpu={"count": 8}), r"17Gi.*limits\.memory.* 24Gi"),
    "a load test of no pool": ({"loadTest": {"enabled": True, "pool": "x"}}, r'loadTest\.pool.*"x".*default'),
}  # fmt: skip

# Refusals of the schema, with the path. Their wording is Helm's.
NOT_OF_THIS_KIND: dict[str, tuple[Json, str]] = {
    "an unknown key": ({"model": "x"}, "additional properties 'model' not allowed"),
    "an unknown key of a group": ({"keys": {"existing": "x"}}, "'/keys': additional properties 'existing'"),
    "an unknown key of a group's group": ({"monitoring": {"rules": {"on": True}}}, "'/monitoring/rules': additional properties"),
    "an unknown key of poolDefaults": ({"poolDefaults": {"engine": {}}}, "'/poolDefaults': additional properties 'engine'"),
    "an unknown key of a pool": (pool(gpus=1), "'/pools/0': additional properties 'gpus'"),
    "an unknown key of a pool's group": (pool(gpu={"cuont": 1}), "'/pools/0/gpu': additional properties 'cuont'"),
    "an unknown key of an adapter": (pool(adapters=[{"name": "a", "url": "x"}]), "adapters/0': additional properties 'url'"),
    "an unknown key of a share": (
        {"gateway": {"splits": [{"name": "t", "hostname": "t", "shares": [{"pool": "a", "weight": 1, "w": 1}]}]}},
        "shares/0': additional properties 'w'",
    ),
    "a setting that is none": (pool(settings={"ttft_budget": 1}), "settings': additional properties 'ttft_budget'"),
    "a setting that the chart sets": (pool(settings={"port": 80}), "settings': additional properties 'port'"),
    "a key among the settings": (pool(settings={"api_keys": "acme=fw_1_2"}), "settings': additional properties 'api_keys'"),
    "a setting of another type": (pool(settings={"ttft_budget_s": "1.5"}), "ttft_budget_s': got string, want number"),
    "a setting out of range": (pool(settings={"max_choices": 0}), "max_choices': minimum"),
    "no pool": ({"pools": []}, "'/pools': minItems"),
    "a pool without a name": ({"pools": [{}]}, "'/pools/0': missing property 'name'"),
    "a pool's name in capitals": ({"pools": [{"name": "H100"}]}, "'/pools/0/name'"),
    "a digest that is none": (pool(image={"digest": "sha256:abc"}), "image/digest'"),
    "no replicas": (pool(replicas=0), "replicas': minimum"),
    "scale to zero": (pool(autoscaling={"minReplicas": 0}), "minReplicas': minimum"),
    "a number as text": (pool(gpu={"count": "1"}), "gpu/count': got string, want integer"),
    "an unknown kind of cache": (pool(cache={"type": "hostPath"}), "cache/type': value must be one of"),
    "a size without a unit": (pool(cache={"size": "200"}), "cache/size'"),
    "a size in the kernel's unit": (pool(cache={"size": "5K"}), "cache/size'"),
    "a size with two points": (pool(cache={"size": "1..2Gi"}), "cache/size'"),
    "a size of nothing": (pool(cache={"size": "0Gi"}), "cache/size'"),
    "an environment variable without a name": (pool(env=[{"foo": 1}]), "env/0': missing property 'name'"),
    "an environment variable's number": (pool(env=[{"name": "A", "value": 1}]), "env/0/value': got number, want string"),
    "a URL as the hostname": (pool(hostname="https://Voice_Example.com/v1"), "hostname'"),
    "capitals in the hostname": (pool(hostname="Voice.example.com"), "hostname'"),
    "a hostname for all": (pool(hostname="*.example.com"), "hostname'"),
    "an address as the hostname": (pool(hostname="10.0.0.1"), "hostname'"),
    "a URL as a split's hostname": (split(("large", 1), hostname="https://t.example.com"), "splits/0/hostname'"),
    "an object inside of a name": (pool(runtimeClassName="nvidia\n  hostNetwork: true"), "runtimeClassName'"),
    "a model that looks like an option": (pool(model={"name": "--all"}), "model/name'"),
    "a Secret's key with a slash": ({"keys": {"plainKey": "a/b"}}, "keys/plainKey'"),
    "a GPU without a domain": (pool(gpu={"resource": "gpu"}), "gpu/resource'"),
    "an image with its tag": (pool(image={"repository": "a/b:1@x"}), "image/repository'"),
    "a label with a space": (pool(podLabels={"team": "a b"}), "podLabels/team'"),
    "a scenario that is none": ({"loadTest": {"scenario": "rampp"}}, "loadTest/scenario': value must be one of"),
    "a scenario of two tenants": ({"loadTest": {"scenario": "noisy-tenant"}}, "loadTest/scenario': value must be one of"),
    "an environment variable as text": (pool(env=["A=b"]), "env/0': got string, want object"),
    "less than an engine needs to stop": (pool(lifecycle={"stopSeconds": 1}), "stopSeconds': minimum"),
}  # fmt: skip


@pytest.mark.parametrize(("values", "words"), CANNOT_WORK.values(), ids=CANNOT_WORK)
def test_values_that_cannot_work_are_refused(values: Json, words: str) -> None:
    whole = merged(MINIMAL, {key: value for key, value in values.items() if key != "name"})
    with pytest.raises(HelmRenderError) as refused:
        render(whole, name=values.get("name", "voice"))
    assert re.search(words, str(refused.value), re.DOTALL)
    assert "nil pointer" not in str(refused.value)


@pytest.mark.parametrize(("values", "words"), NOT_OF_THIS_KIND.values(), ids=NOT_OF_THIS_KIND)
def test_values_of_another_kind_are_refused(values: Json, words: str) -> None:
    with pytest.raises(HelmValuesError) as refused:
        render(merged(MINIMAL, values))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        pool(gpu={"enabled": False, "count": 0}),
        pool(replicas=2, cache={"type": "claim"}),
        pool(cache={"type": "claim", "accessMode": "ReadWriteOnce"}),
        pool(cache={"offline": True}),
        pool(cache={"type": "existing", "existingClaim": "models", "offline": True}, model={"name": "a/b"}),
        pool(image={"digest": DIGEST}),
        {"poolDefaults": {"image": {"digest": DIGEST}}} | pool(image={"tag": "0.2.0-gpu", "digest": ""}),
        {"poolDefaults": {"image": {"tag": "0.1.0-gpu", "digest": DIGEST}}},
        pool(image={"repository": "localhost:5000/team/first_word", "tag": "0.1.0"}),
        pool(image={"repository": "123", "tag": "456"}),
        pool(podLabels={"app.kubernetes.io.example.com/x": "y"}),
        pool(model={"name": "gpt2", "servedName": "agent"}, adapters=[adapter("gpt2")]),
        env("VLLM_HOST_IP", "NCCL_DEBUG"),
        pool(gpu={"count": 8}, resources={"requests": {"memory": "96Gi"}, "limits": {"memory": "96Gi"}}),
        pool(shmGiB=100, resources={"limits": {"memory": None}}),
        pool(resources={"requests": {"memory": 8 * 2**30}, "limits": {"memory": "9000Mi"}}),
        {"securityContext": {"runAsUser": -1, "fsGroup": -1}},
        {"networkPolicy": {"enabled": False}},
        split(("large", 0), ("small", 1)),
        # Values of a parent chart.
        {"global": {"registry": "x"}},
        HOSTNAMES,
    ],
)
def test_values_that_work_are_not(values: Json) -> None:
    assert render(merged(MINIMAL, values)).objects


@pytest.mark.parametrize(
    ("pool_defaults", "of_the_pool", "limits"),
    [
        ({"resources": {"limits": None}}, {}, {}),
        ({"resources": None}, {}, {}),
        ({}, {"resources": {"limits": {"memory": None}}}, {}),
        ({}, {"resources": {"limits": {"memory": None, "cpu": "8"}}}, {"cpu": "8"}),
        ({"resources": {"limits": {"memory": None}}}, {}, {}),
    ],
)
def test_null_takes_a_limit_away(pool_defaults: Json, of_the_pool: Json, limits: Json) -> None:
    rendered = render(merged(MINIMAL, {"poolDefaults": pool_defaults} | pool(**of_the_pool)))
    assert server(rendered.server("default"))["resources"]["limits"] == limits | {"nvidia.com/gpu": "1"}


def test_the_load_test_offers_the_scenarios_of_one_tenant() -> None:
    offered = get_args(LoadTest.model_fields["scenario"].annotation)
    assert list(offered) == [name for name, scenario in SCENARIOS.items() if len(scenario.tenants) == 1]
