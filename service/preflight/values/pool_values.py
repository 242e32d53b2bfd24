"""The chart's values of one pool. chart_values.py has the others."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from service.preflight.values import value_types

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel, validate_by_name=True)

Mapping = dict[str, Any]
Objects = list[dict[str, Any]]


class Image(BaseModel):
    model_config = STRICT
    repository: value_types.Repository = Field(
        default="firstword", description="Image repository in your registry. `Dockerfile.gpu` builds the images of Firstword."
    )
    tag: value_types.Tag = Field(
        default="", description="Image tag. Empty means the chart's appVersion with `-gpu`, `-cpu` or `-tools`."
    )
    digest: value_types.Digest = Field(default="", description="Image digest, `sha256:…`. It takes precedence over the tag.")
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(default="IfNotPresent", description="Image pull policy.")


class Model(BaseModel):
    model_config = STRICT
    name: value_types.ModelName = Field(
        default="embedded", description="Model to serve: `embedded`, a Hugging Face model ID, or a folder on the cache volume."
    )
    revision: value_types.Revision = Field(
        default="", description="Commit of the model. Without it, replicas may serve different weights."
    )
    served_name: value_types.Words = Field(default="", description="Model ID that callers use. Empty means the model's name.")
    aliases: list[value_types.Words] = Field(default=[], description="Additional model IDs that callers may use.")
    chat_template: str = Field(
        default="",
        description="Jinja chat template instead of the model's own: its text (`--set-file`), or the path of a file on the cache "
        "volume.",
    )
    weights_gib: float = Field(
        default=0,
        ge=0,
        alias="weightsGiB",
        description="GiB of the model's weights, for preflight only. 0 means preflight queries the model hub.",
    )
    kv_kib_per_token: float = Field(
        default=0,
        ge=0,
        alias="kvKiBPerToken",
        description="KiB of KV cache per token, for preflight only. 0 means preflight queries the model hub.",
    )


class Adapter(BaseModel):
    model_config = STRICT
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Model ID that callers use to choose the adapter.")
    repo: value_types.HubId = Field(
        default="", description="Hugging Face repository of the adapter. It is downloaded before the engine starts."
    )
    revision: value_types.Revision = Field(default="", description="Commit of the repository.")
    path: value_types.Folder = Field(
        default="",
        description="Folder on the cache volume, instead of `repo`. You can add and remove such adapters without a restart.",
    )
    thinking: value_types.Thinking = Field(
        default="",
        description="Whether the model thinks in turns with this adapter: `off`, `auto`, `on`. Empty means `settings.thinking`.",
    )
    template_kwargs: Mapping = Field(
        default={}, description="Variables of the chat template in turns with this adapter, besides `settings.template_kwargs`."
    )
    chat_template: str = Field(
        default="", description="Jinja chat template of this adapter: its text, or the path of a file on the cache volume."
    )


class Gpu(BaseModel):
    model_config = STRICT
    enabled: bool = Field(
        default=True, description="Use GPUs. False selects the CPU engine and image, to try the chart without a GPU."
    )
    resource: value_types.Resource = Field(
        default="nvidia.com/gpu",
        description="GPU resource that the device plugin offers. For MIG, e.g. `nvidia.com/mig-3g.40gb`.",
    )
    count: int = Field(default=1, ge=0, description="GPUs per pod. It is also the tensor parallelism.")
    product: value_types.LabelValue = Field(
        default="",
        description="Required value of the node label `nvidia.com/gpu.product`, e.g. `NVIDIA-L4`. The path of the compile cache "
        "contains it too.",
    )
    memory_gib: float = Field(
        default=0,
        ge=0,
        alias="memoryGiB",
        description="GiB of memory of one GPU, for preflight only. Used for nodes without the label `nvidia.com/gpu.memory`.",
    )


class Variable(BaseModel):
    model_config = STRICT
    name: value_types.VariableName = Field(description="Name of the variable. It must not be one that the chart sets.")
    value: str = Field(default="", description="Value as a string. Put a number in quotes.")
    value_from: Mapping = Field(
        default={}, description="Source of the value instead of `value`, as in Kubernetes, e.g. a `secretKeyRef`."
    )


class Resources(BaseModel):
    model_config = STRICT
    requests: Mapping = Field(
        default={"cpu": "4", "memory": "24Gi"},
        description="Resource requests, as in Kubernetes. Do not set GPUs here: the chart adds them.",
    )
    limits: Mapping = Field(
        default={"memory": "24Gi"},
        description="Resource limits, as in Kubernetes. Avoid a CPU limit, because it throttles the event loop.",
    )


class Cron(BaseModel):
    model_config = STRICT
    start: str = Field(description="Cron expression of the start, e.g. `45 7 * * 1-5`.")
    end: str = Field(description="Cron expression of the end.")
    timezone: str = Field(description="IANA time zone, e.g. `Europe/London`.")
    replicas: int = Field(ge=1, description="Minimum number of replicas from start to end.")


class Autoscaling(BaseModel):
    model_config = STRICT
    enabled: bool = Field(
        default=False,
        description="Create a KEDA ScaledObject. It scales on offered turns per second, which include refused turns.",
    )
    min_replicas: int = Field(
        default=1, ge=1, description="Minimum number of replicas. It cannot be 0, because a model takes minutes to load."
    )
    max_replicas: int = Field(
        default=4, ge=1, description="Maximum number of replicas. Set it to what your quota and GPUs allow."
    )
    turns_per_second: float = Field(
        default=0,
        ge=0,
        description="Turns per second that one replica serves within the objectives: `turns/s per replica` of the launch report. "
        "Required with autoscaling.",
    )
    polling_seconds: int = Field(default=15, ge=5, description="Seconds between two queries of KEDA to Prometheus.")
    scale_down_seconds: int = Field(
        default=900,
        ge=0,
        le=3600,
        description="Seconds that the load must stay lower before a replica is removed. A new replica takes minutes to start.",
    )
    fallback_failures: int = Field(
        default=3, ge=1, description="Failed queries in a row after which KEDA keeps the current number of replicas."
    )
    cron: list[Cron] = Field(
        default=[], description="Schedules with more replicas, for a known rise in load such as each morning."
    )


class Rollout(BaseModel):
    model_config = STRICT
    spare_gpus: bool = Field(
        default=False,
        description="Start a new pod before an old one ends (maxSurge 1). False means an old pod ends first and frees its GPUs.",
    )


class Lifecycle(BaseModel):
    """Times in seconds. The chart derives the termination grace period from the last three."""

    model_config = STRICT
    startup_seconds: int = Field(
        default=1800, ge=30, description="Seconds that loading may take before the kubelet restarts the container."
    )
    download_seconds: int = Field(
        default=600, ge=0, description="Additional seconds that a rollout may take to download the image and the model."
    )
    lameduck_seconds: int = Field(
        default=20, ge=0, description="Seconds after SIGTERM in which the pod is not ready but still serves new turns."
    )
    drain_seconds: int = Field(default=30, ge=0, description="Seconds after the lameduck in which running turns may finish.")
    stop_seconds: int = Field(default=15, ge=10, description="Seconds that the engine and the server need to stop.")


class Cache(BaseModel):
    model_config = STRICT
    type: Literal["claim", "perReplica", "existing", "emptyDir"] = Field(
        default="emptyDir",
        description="Volume type. `claim`: one volume for all replicas. `perReplica`: one volume for each. `existing`: your "
        "claim. `emptyDir`: the node's disk.",
    )
    size: value_types.Size = Field(
        default="40Gi",
        description="Volume size, for weights, adapters and compiled code. With `emptyDir` each pod requests this size as "
        "`ephemeral-storage`, so it runs only on a node with enough free disk.",
    )
    storage_class: value_types.Name = Field(default="", description="Storage class. Empty means the cluster's default.")
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"] = Field(
        default="ReadWriteMany", description="Access mode, for `type: claim`. Replicas on several nodes need ReadWriteMany."
    )
    existing_claim: value_types.Name = Field(default="", description="Name of your PersistentVolumeClaim, for `type: existing`.")
    offline: bool = Field(
        default=False, description="Download nothing. The model must be on the volume, in `hf/` or as a folder."
    )
    token_secret: value_types.Name = Field(default="", description="Secret with the Hugging Face token, for gated models.")
    token_key: value_types.Key = Field(default="token", description="Key of the token in the Secret.")


class PoolValues(BaseModel):
    model_config = STRICT
    image: Image = Field(
        default=Image(), description="Image of the service. A canary of a new version sets another tag in its pool."
    )
    model: Model = Field(default=Model(), description="Model.")
    adapters: list[Adapter] = Field(default=[], description="LoRA adapters of the model.")
    engine_args: Mapping = Field(default={}, description="Arguments of vLLM's `AsyncEngineArgs`, e.g. `max_model_len: 8192`.")
    settings: Mapping = Field(
        default={}, description="Settings from docs/settings.md, in lower case and without the prefix, e.g. `ttft_budget_s: 1.5`."
    )
    env: list[Variable] = Field(default=[], description="Additional environment variables, e.g. `NCCL_DEBUG`.")
    gpu: Gpu = Field(default=Gpu(), description="GPUs of each pod.")
    nodes: int = Field(
        default=1,
        ge=1,
        description="Nodes of one replica. Above 1 the pool is a LeaderWorkerSet, and `gpu.count` is the number per node.",
    )
    resources: Resources = Field(default=Resources(), description="CPU and memory of each pod.")
    shm_gib: int = Field(
        default=0, ge=0, alias="shmGiB", description="GiB of shared memory (`/dev/shm`). 0 means 1 plus 2 for each GPU."
    )
    node_selector: value_types.Labels = Field(default={}, description="Node selector, as in Kubernetes.")
    tolerations: Objects = Field(
        default=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        description="Tolerations, as in Kubernetes.",
    )
    affinity: Mapping = Field(default={}, description="Affinity, as in Kubernetes.")
    topology_spread_constraints: Objects = Field(
        default=[],
        description="Topology spread constraints, as in Kubernetes. Empty means replicas spread over nodes where possible.",
    )
    runtime_class_name: value_types.Name = Field(
        default="", description="Runtime class, e.g. `nvidia` if the GPU operator created it."
    )
    priority_class_name: value_types.Name = Field(
        default="", description="Priority class. Use a class above that of batch workloads."
    )
    replicas: int = Field(default=1, ge=1, description="Number of replicas without autoscaling.")
    autoscaling: Autoscaling = Field(default=Autoscaling(), description="Autoscaling of the replicas.")
    rollout: Rollout = Field(default=Rollout(), description="Rollout of a new version.")
    lifecycle: Lifecycle = Field(
        default=Lifecycle(), description="Times in seconds. Probes, deadlines and the grace period are derived from them."
    )
    cache: Cache = Field(default=Cache(), description="Volume for weights and compile caches.")
    hostname: value_types.HostnameOrNone = Field(
        default="", description="Hostname that the platform's agents call. Required with a gateway or ingress."
    )
    pod_labels: value_types.Labels = Field(
        default={}, description="Additional labels of the pods. Labels that the chart sets are not allowed."
    )
    pod_annotations: dict[str, str] = Field(default={}, description="Additional annotations of the pods.")


class Pool(PoolValues):
    name: value_types.PoolName = Field(
        description="Name of the pool. The Deployment, the Service and the metric label `pool` contain it."
    )
