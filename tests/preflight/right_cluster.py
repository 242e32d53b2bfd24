"""A cluster on which the chart would run, and values that use all of it. Tests remove or break parts of it."""

import base64
import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr

from service.tenants.key_file import KeyFile, PlainEntry

Json = dict[str, Any]
Key = tuple[str, str | None, str]
"""Kind (`group/version/plural`), namespace and name."""
Item = tuple[Key, Json]
Objects = dict[Key, Json]

SALT = "ab" * 16
PLAIN_KEY = "fw_9c0d2e41_nobody-may-see-this-key"
H100 = "NVIDIA-H100-80GB-HBM3"
HUB_TOKEN = "hf_nobody_may_see_this"

NODES, PODS, SECRETS = "v1/nodes", "v1/pods", "v1/secrets"
CLASSES, CLAIMS, QUOTAS, RANGES = (
    "storage.k8s.io/v1/storageclasses",
    "v1/persistentvolumeclaims",
    "v1/resourcequotas",
    "v1/limitranges",
)
GATEWAYS, PROMETHEUSES = "gateway.networking.k8s.io/v1/gateways", "monitoring.coreos.com/v1/prometheuses"
KINDS = (
    NODES,
    PODS,
    SECRETS,
    CLASSES,
    CLAIMS,
    QUOTAS,
    RANGES,
    GATEWAYS,
    PROMETHEUSES,
    "v1/namespaces",
    "v1/services",
    "node.k8s.io/v1/runtimeclasses",
    "scheduling.k8s.io/v1/priorityclasses",
    "networking.k8s.io/v1/ingressclasses",
    "gateway.networking.k8s.io/v1/httproutes",
    "inference.networking.k8s.io/v1/inferencepools",
    "keda.sh/v1alpha1/scaledobjects",
    "keda.sh/v1alpha1/triggerauthentications",
    "leaderworkerset.x-k8s.io/v1/leaderworkersets",
    "external-secrets.io/v1/externalsecrets",
    "external-secrets.io/v1/secretstores",
    "monitoring.coreos.com/v1/podmonitors",
    "monitoring.coreos.com/v1/prometheusrules",
)


def node(name: str, gpus: int, **labels: str) -> Item:
    taints = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}] if gpus else []
    amounts = {
        "cpu": "64",
        "memory": "1031920Mi",
        "pods": "110",
        "ephemeral-storage": "900Gi",
        **({"nvidia.com/gpu": str(gpus)} if gpus else {}),
    }
    of_gpus = {"nvidia.com/gpu.product": H100, "nvidia.com/gpu.memory": "81559", "disk": "nvme"} if gpus else {}
    document = {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **of_gpus, **labels}},
        "spec": {"taints": taints},
        "status": {"allocatable": amounts, "capacity": dict(amounts), "conditions": [{"type": "Ready", "status": "True"}]},
    }
    return (NODES, None, name), document


def pod(
    name: str, on: str, namespace: str = "others", gpus: int = 0, *, labels: Mapping[str, str] = MappingProxyType({})
) -> Item:
    requests = {"cpu": "500m", "memory": "1Gi", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    document = {
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "spec": {"nodeName": on, "containers": [{"name": "main", "resources": {"requests": requests}}]},
        "status": {"phase": "Running"},
    }
    return (PODS, namespace, name), document


def secret(name: str, **data: str) -> Item:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return (SECRETS, "calls", name), {"metadata": {"name": name, "namespace": "calls"}, "data": encoded}


def storage_class(name: str, provisioner: str, *, is_default: bool = False) -> Item:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if is_default else {}
    return (CLASSES, None, name), {"metadata": {"name": name, "annotations": annotations}, "provisioner": provisioner}


def key_file(*keys: str) -> str:
    entries = [PlainEntry(tenant="acme", key=SecretStr(key)).hashed(SALT) for key in keys]
    return KeyFile(salt=SALT, keys=entries).model_dump_json(exclude_unset=True)


def right() -> Objects:
    listener = {"name": "https", "port": 443, "allowedRoutes": {"namespaces": {"from": "All"}}}
    chosen = {"matchLabels": {"release": "stack"}}
    selectors = {
        "podMonitorSelector": chosen,
        "podMonitorNamespaceSelector": {},
        "ruleSelector": chosen,
        "ruleNamespaceSelector": {},
    }
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    return dict(
        [
            node("gpu-1", 8),
            node("gpu-2", 8),
            node("cpu-1", 0),
            pod("training", "gpu-1", gpus=2),
            pod("state", "cpu-1", labels={"app.kubernetes.io/name": "kube-state-metrics"}),
            pod("dcgm", "gpu-1", labels={"app": "nvidia-dcgm-exporter"}),
            secret("firstword-keys", **{"keys.yaml": key_file(PLAIN_KEY), "api-key": PLAIN_KEY}),
            secret("hugging-face", token=HUB_TOKEN),
            secret("registry", **{".dockerconfigjson": "{}"}),
            storage_class("disk", "ebs.csi.aws.com", is_default=True),
            storage_class("shared-files", "efs.csi.aws.com"),
            (("v1/namespaces", None, "calls"), {"metadata": {"name": "calls", "labels": restricted}}),
            (("v1/services", "monitoring", "prometheus-operated"), {"metadata": {"name": "prometheus-operated"}}),
            (("node.k8s.io/v1/runtimeclasses", None, "nvidia"), {"metadata": {"name": "nvidia"}, "handler": "nvidia"}),
            (("scheduling.k8s.io/v1/priorityclasses", None, "calls"), {"metadata": {"name": "calls"}, "value": 1000}),
            (("networking.k8s.io/v1/ingressclasses", None, "nginx"), {"metadata": {"name": "nginx"}, "spec": {}}),
            ((GATEWAYS, "gateways", "public"), {"metadata": {"name": "public"}, "spec": {"listeners": [listener]}}),
            ((PROMETHEUSES, "monitoring", "k8s"), {"metadata": {"name": "k8s", "namespace": "monitoring"}, "spec": selectors}),
        ]
    )


def values(**over: Any) -> Json:
    """Values of one pool with everything enabled that one pool can have. `over` replaces top-level keys."""
    return copy.deepcopy(
        {
            "poolDefaults": {
                "model": {"name": "Qwen/Qwen3-8B", "weightsGiB": 15.3, "kvKiBPerToken": 144},
                "engineArgs": {"max_model_len": 8192},
                "gpu": {"product": H100},
                "nodeSelector": {"disk": "nvme"},
                "runtimeClassName": "nvidia",
                "priorityClassName": "calls",
                "replicas": 2,
                "rollout": {"spareGpus": True},
                "cache": {"type": "claim", "size": "200Gi", "storageClass": "shared-files", "tokenSecret": "hugging-face"},
                "hostname": "voice.example.com",
            },
            "imagePullSecrets": [{"name": "registry"}],
            "keys": {"existingSecret": "firstword-keys"},
            "gateway": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}]},
            "monitoring": {
                "podMonitor": {"enabled": True, "labels": {"release": "stack"}},
                "rules": {"enabled": True, "labels": {"release": "stack"}},
            },
            **over,
        }
    )


def pool(**over: Any) -> Json:
    """The same values with changes in `poolDefaults`. Maps are merged, other entries are replaced."""
    result = values()
    for key, value in over.items():
        old = result["poolDefaults"].get(key)
        result["poolDefaults"][key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return result
