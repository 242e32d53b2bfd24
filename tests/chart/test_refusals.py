"""Values that cannot work are refused before anything is installed, in words that say what to change."""

import re
from typing import Any

import pytest
from helm_python import HelmRenderError, HelmValuesError

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


CANNOT_WORK: dict[str, tuple[Json, str]] = {
    "zero GPUs on a GPU pool": (pool(gpu={"count": 0}), r"default.*gpu\.count.*gpu\.enabled"),
    "zero GPUs for every pool": ({"poolDefaults": {"gpu": {"count": 0}}}, r"gpu\.count"),
    "two pools of one name": ({"pools": [{"name": "a"}, {"name": "a"}]}, r'two are named "a"'),
    "several nodes without GPUs": (pool(nodes=2, gpu={"enabled": False}), r"nodes.*gpu\.enabled"),
    "no key at all": ({"keys": {"existingSecret": ""}}, r"keys\.existingSecret.*keys\.generate"),
    "two ways to keys": ({"keys": {"generate": True}}, r"keys\.existingSecret and keys\.generate.*one"),
    "a vault without an entry": (
        {"keys": {"existingSecret": "", "externalSecret": {"enabled": True}}}, r"keys\.externalSecret.*storeName and remoteKey",
    ),
    "a pool's name that is too long": ({"pools": [{"name": "p" * 30}], "name": "r" * 40}, "shorten the release's or the pool's"),
    "a pool named like a dashboard": ({"pools": [{"name": "dashboard-engine"}]}, "dashboard-engine.*choose one"),
    "a pool named like a load test": ({"pools": [{"name": "loadtest-1"}]}, "loadtest-1.*choose one"),
    "an adapter from nowhere": (pool(adapters=[{"name": "a"}]), "either repo or path"),
    "an adapter from two places": (pool(adapters=[{"name": "a", "repo": "x/y", "path": "/cache/a"}]), "either repo or path"),
    "two adapters of one name": (pool(adapters=[{"name": "a", "path": "/cache/a"}] * 2), r'two adapters are named "a"'),
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
        PROMETHEUS | pool(autoscaling=SCALED | {"minReplicas": 9}), "minReplicas is 9 and maxReplicas 4",
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
    "a split between pools that are not there": (split(("large", 1), ("medium", 1)), r'no pool "medium".*large, small'),
    "a split that serves nobody": (split(("large", 0), ("small", 0)), "weights are 0"),
    "a split on a pool's hostname": (split(("large", 1), hostname="s.example.com"), "is taken"),
    "a split without a gateway": (
        merged(split(("large", 1)), {"gateway": {"enabled": False}}), r"gateway\.enabled to true",
    ),
    "a picker that nobody asks": ({"inferencePool": {"enabled": True}}, r"inferencePool\.enabled.*gateway\.enabled"),
    "a load test of no pool": ({"loadTest": {"enabled": True, "pool": "x"}}, r'loadTest\.pool.*no pool "x".*default'),
}  # fmt: skip

# What the schema says, with the path to it: no words of ours.
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
        {"securityContext": {"runAsUser": -1, "fsGroup": -1}},
        {"networkPolicy": {"enabled": False}},
        split(("large", 0), ("small", 1)),
        # A chart around this one.
        {"global": {"registry": "x"}},
        HOSTNAMES,
    ],
)
def test_values_that_work_are_not(values: Json) -> None:
    assert render(merged(MINIMAL, values)).objects
