"""The chart's values of one pool. See `values.py`."""

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
        default="firstword", description="Where it is in your registry; `Dockerfile.gpu` builds ours."
    )
    tag: value_types.Tag = Field(
        default="", description="By default the chart's appVersion with `-gpu`, `-cpu` or `-tools`, as the pool or Job needs."
    )
    digest: value_types.Digest = Field(default="", description="`sha256:…`; pins it, whatever the tag says.")
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(default="IfNotPresent", description="As in Kubernetes.")


class Model(BaseModel):
    model_config = STRICT
    name: value_types.ModelName = Field(
        default="embedded", description="`embedded`, a Hugging Face model ID, or a folder on the cache volume."
    )
    revision: value_types.Revision = Field(
        default="", description="The commit to serve. Without it, two replicas can come to serve different weights."
    )
    served_name: value_types.Words = Field(default="", description="The model ID that callers use; by default the model's name.")
    aliases: list[value_types.Words] = Field(default=[], description="Further names that callers may use.")
    weights_gib: float = Field(
        default=0, ge=0, alias="weightsGiB", description="What the weights take, for preflight; 0: it asks the model hub."
    )
    kv_kib_per_token: float = Field(
        default=0,
        ge=0,
        alias="kvKiBPerToken",
        description="A token's KV cache, for preflight; 0: it asks the model hub.",
    )


class Adapter(BaseModel):
    model_config = STRICT
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="The model ID by which callers choose it.")
    repo: value_types.HubId = Field(default="", description="A Hugging Face repository, downloaded before the engine starts.")
    revision: value_types.Revision = Field(default="", description="Its commit.")
    path: value_types.Folder = Field(
        default="", description="Instead of `repo`: a folder on the cache volume. Such ones come and go without a restart."
    )


class Gpu(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=True, description="False: the CPU engine and image, to try the chart without a GPU.")
    resource: value_types.Resource = Field(
        default="nvidia.com/gpu", description="What the device plugin offers; MIG: `nvidia.com/mig-3g.40gb`."
    )
    count: int = Field(default=1, ge=0, description="GPUs of a pod, which is also the tensor parallelism on its node.")
    product: value_types.LabelValue = Field(
        default="",
        description="The node label `nvidia.com/gpu.product` to ask for, e.g. `NVIDIA-L4`; names the compile cache too.",
    )
    memory_gib: float = Field(
        default=0,
        ge=0,
        alias="memoryGiB",
        description="Memory of one GPU, for preflight; 0: by the label `nvidia.com/gpu.memory`.",
    )


class Variable(BaseModel):
    model_config = STRICT
    name: value_types.VariableName = Field(description="Not one that the chart sets.")
    value: str = Field(default="", description="As text: a number in quotes.")
    value_from: Mapping = Field(default={}, description="Instead, as in Kubernetes, e.g. a `secretKeyRef`.")


class Resources(BaseModel):
    model_config = STRICT
    requests: Mapping = Field(
        default={"cpu": "4", "memory": "24Gi"}, description="As in Kubernetes; GPUs are asked for by `gpu`."
    )
    limits: Mapping = Field(default={"memory": "24Gi"}, description="A CPU limit would throttle the event loop: better none.")


class Cron(BaseModel):
    model_config = STRICT
    start: str = Field(description="Cron expression, e.g. `45 7 * * 1-5`.")
    end: str = Field(description="Cron expression.")
    timezone: str = Field(description="IANA name, e.g. `Europe/London`.")
    replicas: int = Field(ge=1, description="At least so many from start to end.")


class Autoscaling(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=False, description="A KEDA ScaledObject on offered turns per second, refused ones included.")
    min_replicas: int = Field(default=1, ge=1, description="Never zero: a model takes minutes to load, a caller waits seconds.")
    max_replicas: int = Field(default=4, ge=1, description="What your quota and GPUs allow.")
    turns_per_second: float = Field(
        default=0, ge=0, description="Of one replica within the objectives: the launch report's `turns/s per replica`. Needed."
    )
    polling_seconds: int = Field(default=15, ge=5, description="How often KEDA asks Prometheus.")
    scale_down_seconds: int = Field(
        default=900,
        ge=0,
        le=3600,
        description="The load must have been lower for so long: a replica that goes takes minutes to come back.",
    )
    fallback_failures: int = Field(
        default=3, ge=1, description="Failed questions in a row until KEDA keeps the replicas there are."
    )
    cron: list[Cron] = Field(default=[], description="Replicas ahead of a known ramp, such as the morning's.")


class Rollout(BaseModel):
    model_config = STRICT
    spare_gpus: bool = Field(
        default=False, description="True: a new pod starts before an old one ends (maxSurge 1). False: the old one ends first."
    )


class Lifecycle(BaseModel):
    """Seconds. The grace period is derived from the last three."""

    model_config = STRICT
    startup_seconds: int = Field(default=1800, ge=30, description="What loading may take before the pod is restarted.")
    download_seconds: int = Field(default=600, ge=0, description="Beyond it, what a rollout may take to fetch image and model.")
    lameduck_seconds: int = Field(default=20, ge=0, description="After SIGTERM, not ready, turns are still served for so long.")
    drain_seconds: int = Field(default=30, ge=0, description="Then running turns may take so long to finish.")
    stop_seconds: int = Field(default=15, ge=10, description="What the engine and server take to stop.")


class Cache(BaseModel):
    model_config = STRICT
    type: Literal["claim", "perReplica", "existing", "emptyDir"] = Field(
        default="emptyDir",
        description="`claim`: one volume for all replicas; `perReplica`: one each; `existing`: yours; `emptyDir`: on the node.",
    )
    size: value_types.Size = Field(
        default="40Gi",
        description="For weights, adapters and compiled code. With `emptyDir` each pod asks for so much `ephemeral-storage`: a "
        "node with less to give gets none.",
    )
    storage_class: value_types.Name = Field(default="", description="By default the cluster's.")
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"] = Field(
        default="ReadWriteMany", description="Of `claim`; replicas on several nodes need ReadWriteMany."
    )
    existing_claim: value_types.Name = Field(default="", description="Of `existing`.")
    offline: bool = Field(default=False, description="Download nothing: the model is on the volume, in `hf/` or as a folder.")
    token_secret: value_types.Name = Field(default="", description="The Secret with the Hugging Face token, for gated models.")
    token_key: value_types.Key = Field(default="token", description="Its key.")


class PoolValues(BaseModel):
    model_config = STRICT
    image: Image = Field(
        default=Image(), description="The service's image; a canary of a new version gives its pool another tag."
    )
    model: Model = Field(default=Model(), description="What to serve.")
    adapters: list[Adapter] = Field(default=[], description="LoRA adapters beside the model.")
    engine_args: Mapping = Field(default={}, description="vLLM `AsyncEngineArgs`, e.g. `max_model_len: 8192`.")
    settings: Mapping = Field(
        default={}, description="Settings of docs/settings.md in lower case without prefix, e.g. `ttft_budget_s: 1.5`."
    )
    env: list[Variable] = Field(default=[], description="Further environment variables, e.g. `NCCL_DEBUG`.")
    gpu: Gpu = Field(default=Gpu(), description="GPUs of a pod.")
    nodes: int = Field(
        default=1, ge=1, description="Nodes of one replica; above 1 it is a LeaderWorkerSet, and `gpu.count` is of each node."
    )
    resources: Resources = Field(default=Resources(), description="CPU and memory of a pod.")
    shm_gib: int = Field(default=0, ge=0, alias="shmGiB", description="`/dev/shm`; 0: 1 and 2 more for each GPU.")
    node_selector: value_types.Labels = Field(default={}, description="As in Kubernetes.")
    tolerations: Objects = Field(
        default=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}], description="As in Kubernetes."
    )
    affinity: Mapping = Field(default={}, description="As in Kubernetes.")
    topology_spread_constraints: Objects = Field(
        default=[], description="By default the replicas are spread over nodes, where that is possible."
    )
    runtime_class_name: value_types.Name = Field(default="", description="E.g. `nvidia`, where the GPU operator made it.")
    priority_class_name: value_types.Name = Field(default="", description="Phones ring: above batch work.")
    replicas: int = Field(default=1, ge=1, description="Without autoscaling.")
    autoscaling: Autoscaling = Field(default=Autoscaling(), description="Replicas by load.")
    rollout: Rollout = Field(default=Rollout(), description="How a new version takes over.")
    lifecycle: Lifecycle = Field(default=Lifecycle(), description="Seconds from which probes, deadlines and grace are derived.")
    cache: Cache = Field(default=Cache(), description="Where weights and compile caches live.")
    hostname: value_types.HostnameOrNone = Field(
        default="", description="The pool's own name, which its platform agents call; needed with a gateway or ingress."
    )
    pod_labels: value_types.Labels = Field(default={}, description="Further labels of the pods; none of the chart's own.")
    pod_annotations: dict[str, str] = Field(default={}, description="Further annotations of the pods.")


class Pool(PoolValues):
    name: value_types.PoolName = Field(description="Names the Deployment, the Service and the label `pool` of metrics.")
