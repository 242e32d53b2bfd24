"""Pods of every workload: privileges, writable paths, resources and placement."""

import re
from pathlib import Path

import pytest

from service import __version__
from service.preflight.values.pool_values import Pool
from tests.chart.pools import each_pool, each_scenario, env_of, mounts, pools_of, server
from tests.chart.rendering import MINIMAL, Json, Pod, merged, render, scenario, values_of

WRITABLE = {"/cache", "/tmp", "/dev/shm"}
IMAGE_PAGE = Path(__file__).parents[2] / "docs/image.md"


def engines(pods: list[Pod]) -> list[Pod]:
    return [pod for pod in pods if pod.role in ("server", "worker")]


@each_scenario
def test_no_pod_has_more_rights_than_restricted_allows(name: str) -> None:
    """Pod Security level `restricted`, and also a read-only root file system and no token."""
    assert scenario(name).pods
    for pod in scenario(name).pods:
        of_pod = pod.spec["securityContext"]
        assert of_pod["runAsNonRoot"] is True, pod.name
        assert of_pod.get("runAsUser") != 0
        assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}, pod.name
        assert not pod.spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert not [volume for volume in pod.spec.get("volumes", ()) if "hostPath" in volume]
        for container in pod.containers:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, pod.name
            assert context["readOnlyRootFilesystem"] is True, pod.name
            assert context["capabilities"] == {"drop": ["ALL"]}, pod.name
            assert not context.get("privileged")
            assert not [port for port in container.get("ports", ()) if "hostPort" in port]


@each_scenario
def test_only_the_picker_has_a_token(name: str) -> None:
    for pod in scenario(name).pods:
        assert pod.spec["automountServiceAccountToken"] is (pod.role == "picker"), pod.name
    for account in scenario(name).of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    for role in scenario(name).of("Role"):
        assert {verb for rule in role["rules"] for verb in rule["verbs"]} <= {"get", "list", "watch"}
        assert "secrets" not in str(role["rules"])


@pytest.mark.parametrize("name", ["runAsUser", "fsGroup"])
def test_the_cluster_may_choose_the_user(name: str) -> None:
    """OpenShift chooses the user ID and refuses pods that set one outside its range."""
    rendered = render(merged(MINIMAL, {"securityContext": {name: -1}}))
    assert all(name not in pod.spec["securityContext"] for pod in rendered.pods)


@each_scenario
def test_exactly_cache_tmp_and_shared_memory_are_writable(name: str) -> None:
    for pod in scenario(name).pods:
        for container in pod.containers:
            writable = {mount["mountPath"] for mount, volume in mounts(pod, container) if not mount.get("readOnly")}
            assert writable <= (WRITABLE if pod.role in ("server", "worker") else {"/tmp", "/reports"}), pod.name
            assert "/tmp" in writable, f"{pod.name}: Python needs a folder for temporary files"


def documented_env() -> dict[str, str]:
    """Variables of docs/image.md for each pod that serves or downloads."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| `(\S+)` \|", IMAGE_PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 8
    return dict(rows)


@each_scenario
def test_what_writes_is_told_where_as_documented(name: str) -> None:
    for pod in engines(scenario(name).pods):
        for container in pod.containers:
            env = env_of(container)
            key = env["VLLM_CACHE_ROOT"].removeprefix("/cache/compile/").split("/")[0]
            expected = {variable: value.replace("KEY", key) for variable, value in documented_env().items()}
            assert {variable: env.get(variable) for variable in expected} == expected, f"{pod.name}, {container['name']}"
            # A path in the image: the CPU image has the embedded model there.
            assert "XDG_CACHE_HOME" not in env


@each_pool
def test_shared_memory_grows_with_the_gpus(name: str, pool: Pool) -> None:
    pods = [pod for pod in engines(scenario(name).pods) if pod.labels["firstword.io/pool"] == pool.name]
    assert len(pods) == (1 if pool.nodes == 1 else 2)
    for pod in pods:
        (volume,) = (volume for mount, volume in mounts(pod, server(pod)) if mount["mountPath"] == "/dev/shm")
        assert volume["emptyDir"]["medium"] == "Memory"
        size = int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi"))
        assert size == pool.shm_gib or (not pool.shm_gib and size == 1 + 2 * (pool.gpu.count if pool.gpu.enabled else 0))


@each_pool
def test_gpus_are_requested_as_they_are_limited(name: str, pool: Pool) -> None:
    for pod in engines(scenario(name).pods):
        if pod.labels["firstword.io/pool"] == pool.name:
            resources = server(pod)["resources"]
            gpus = {side: resources[side].get(pool.gpu.resource) for side in ("requests", "limits")}
            expected = str(pool.gpu.count) if pool.gpu.enabled else None
            assert gpus == {"requests": expected, "limits": expected}
            assert resources["limits"]["memory"] == pool.resources.limits["memory"]
            if not pool.gpu.enabled:
                assert not [key for key in resources["limits"] if "/" in key]


@each_scenario
def test_everything_asks_for_cpu_and_bounds_its_memory(name: str) -> None:
    for pod in scenario(name).pods:
        for container in pod.containers:
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}, pod.name
            assert "memory" in container["resources"]["limits"], pod.name


@each_pool
def test_pods_go_where_the_values_say(name: str, pool: Pool) -> None:
    for pod in engines(scenario(name).pods):
        if pod.labels["firstword.io/pool"] == pool.name:
            chosen = pod.spec.get("nodeSelector", {})
            assert chosen.items() >= pool.node_selector.items()
            assert chosen.get("nvidia.com/gpu.product", "") == (pool.gpu.product if pool.gpu.enabled else "")
            assert pod.spec.get("tolerations", []) == pool.tolerations
            assert pod.spec.get("affinity", {}) == pool.affinity
            assert pod.spec.get("runtimeClassName", "") == pool.runtime_class_name
            assert pod.spec.get("priorityClassName", "") == pool.priority_class_name
            spread = pod.spec["topologySpreadConstraints"]
            assert spread == pool.topology_spread_constraints or spread[0]["whenUnsatisfiable"] == "ScheduleAnyway"


@each_pool
def test_images_are_pinned_by_digest_or_tag(name: str, pool: Pool) -> None:
    image = server(scenario(name).server(pool.name))["image"]
    tag = pool.image.tag or f"{__version__}-{'gpu' if pool.gpu.enabled else 'cpu'}"
    assert image == f"{pool.image.repository}{f'@{pool.image.digest}' if pool.image.digest else f':{tag}'}"
    for pod in scenario(name).pods:
        assert all(re.search(r"(@sha256:[0-9a-f]{64}|:[^/:]+)$", each["image"]) for each in pod.containers)
        assert not any(each["image"].endswith(":latest") for each in pod.containers)


@each_pool
def test_the_cache_is_the_volume_asked_for(name: str, pool: Pool) -> None:
    pod = scenario(name).server(pool.name)
    (volume,) = (volume for mount, volume in mounts(pod, server(pod)) if mount["mountPath"] == "/cache")
    expected = {
        "claim": "persistentVolumeClaim",
        "existing": "persistentVolumeClaim",
        "perReplica": "ephemeral",
        "emptyDir": "emptyDir",
    }
    assert volume.keys() == {"name", expected[pool.cache.type]}
    if pool.cache.type == "existing":
        assert volume["persistentVolumeClaim"]["claimName"] == pool.cache.existing_claim
    if pool.cache.type == "claim":
        claim = scenario(name).one("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        assert claim["spec"]["accessModes"] == [pool.cache.access_mode]
    if pool.cache.type == "perReplica":
        claim = volume["ephemeral"]["volumeClaimTemplate"]
    if pool.cache.type in ("claim", "perReplica"):
        assert claim["spec"]["resources"]["requests"]["storage"] == pool.cache.size
        assert claim["spec"].get("storageClassName", "") == pool.cache.storage_class


@each_pool
def test_what_is_on_the_hub_is_fetched_first_and_nothing_afterwards(name: str, pool: Pool) -> None:
    from_hub = pool.model.name != "embedded" and not pool.model.name.startswith("/")
    fetches = (from_hub or any(adapter.repo for adapter in pool.adapters)) and not pool.cache.offline
    for pod in engines(scenario(name).pods):
        if pod.labels["firstword.io/pool"] == pool.name:
            first = pod.spec.get("initContainers", [])
            assert bool(first) is fetches
            assert env_of(server(pod))["HF_HUB_OFFLINE"] == "1"
            assert "HF_TOKEN" not in env_of(server(pod))
            if fetches:
                assert pool.model.name in first[0]["args"] or not from_hub
                token = env_of(first[0]).get("HF_TOKEN")
                secret = {"name": pool.cache.token_secret, "key": pool.cache.token_key}
                assert token == ({"secretKeyRef": secret} if pool.cache.token_secret else None)
                if pool.cache.offline is False and pool.model.revision and from_hub:
                    assert any(pool.model.revision in argument for argument in first[0]["args"])


@each_pool
def test_fetching_asks_for_what_serving_does_but_for_gpus(name: str, pool: Pool) -> None:
    """It runs before the server, so the pod needs no more. A quota of limits needs them on both containers."""
    for pod in engines(scenario(name).pods):
        fetch = [each["resources"] for each in pod.spec.get("initContainers", ())]
        serving = server(pod)["resources"]
        without = {side: {key: of for key, of in serving[side].items() if "/" not in key} for side in serving}
        assert fetch in ([], [without]), pod.name


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"cache": {"size": "30Gi"}}, "30Gi"),
        ({"cache": {"type": "perReplica"}}, None),
        ({"cache": {"type": "claim"}}, None),
        ({"resources": {"requests": {"ephemeral-storage": "9Gi"}}}, "9Gi"),
        # Kubernetes uses the limit as the request, and refuses a request above it.
        ({"resources": {"limits": {"ephemeral-storage": "9Gi"}}}, None),
    ],
)
def test_a_cache_on_the_nodes_disk_is_asked_for(given: Json, asked: str | None) -> None:
    """Without the request the scheduler may choose a node with a full disk, and the kubelet would evict the pod."""
    pod = render(merged(MINIMAL, {"poolDefaults": {"model": {"name": "a/b"}, **given}})).server("default")
    for container in pod.containers:
        assert container["resources"]["requests"].get("ephemeral-storage") == asked
        said = given.get("resources", {}).get("limits", {})
        assert container["resources"]["limits"].get("ephemeral-storage") == said.get("ephemeral-storage")


def test_compile_caches_fit_one_gpu_and_one_image() -> None:
    def folder(**pool_defaults: Json) -> str:
        pod = render(merged(MINIMAL, {"poolDefaults": pool_defaults})).server("default")
        return str(env_of(server(pod))["VLLM_CACHE_ROOT"])

    folders = {folder(), folder(gpu={"product": "NVIDIA-L4"}), folder(image={"tag": "0.2.0-gpu"})}
    assert len(folders) == 3
    assert folder() == folder(model={"name": "Qwen/Qwen3-8B"})
    assert all(re.fullmatch(r"[A-Za-z0-9./_-]+", each) for each in folders)


@pytest.mark.parametrize("name", ["airgapped", "kitchen-sink"])
def test_pull_secrets_are_everywhere(name: str) -> None:
    for pod in scenario(name).pods:
        assert pod.spec["imagePullSecrets"] == values_of(name)["imagePullSecrets"], pod.name


def test_air_gapped_images_all_come_from_the_registry_by_digest() -> None:
    images = [container["image"] for pod in scenario("airgapped").pods for container in pod.containers]
    assert images and all(re.match(r"registry\.internal\.example/.*@sha256:", image) for image in images)
    assert all(pool.cache.offline for pool in pools_of(values_of("airgapped")))
