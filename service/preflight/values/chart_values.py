"""The chart's values.

`python -m deploy.chart` generates values.yaml, values.schema.json and the chart's README from this module, and preflight reads
the user's values with it. Unknown keys are errors. An empty value means "not set", because Helm drops nulls.
"""

from typing import Literal

from pydantic import BaseModel, Field

from service.preflight.values import value_types
from service.preflight.values.pool_values import STRICT, Image, Mapping, Objects, Pool, PoolValues, Resources


class ExternalSecret(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=False, description="Let External Secrets Operator create the Secret from your vault.")
    store_kind: Literal["SecretStore", "ClusterSecretStore"] = Field(
        default="SecretStore", description="Kind of the secret store."
    )
    store_name: value_types.Name = Field(default="", description="Name of the secret store.")
    remote_key: str = Field(
        default="", description="Entry of the vault. Its property `api-key` is the API key: `fw_<id>_<secret>`."
    )
    tenant: value_types.Tenant = Field(default="default", description="Tenant of the key.")
    refresh_interval: value_types.Duration = Field(default="1m", description="Interval between two reads of the vault.")


class Keys(BaseModel):
    model_config = STRICT
    existing_secret: value_types.Name = Field(
        default="",
        description="Your Secret: a key file from `firstword keys add`, and a plain key for `helm test` and the load test.",
    )
    file_key: value_types.Key = Field(default="keys.yaml", description="Key of the key file in the Secret.")
    plain_key: value_types.Key = Field(
        default="api-key", description="Key of the plain API key in the Secret, for `helm test` and the load test."
    )
    generate: bool = Field(
        default=False, description="Create a Secret with a random API key at the first install. Do not use it with GitOps."
    )
    external_secret: ExternalSecret = Field(default=ExternalSecret(), description="API key from a vault.")


class Gateway(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=False, description="Create an HTTPRoute for each pool, with its `hostname`.")
    parent_refs: Objects = Field(default=[], description="Gateways and listeners to attach to, as in an HTTPRoute.")
    annotations: dict[str, str] = Field(default={}, description="Annotations of the HTTPRoutes.")
    timeouts: bool = Field(
        default=True,
        description="Turn off the gateway's request timeout. Set it to false on GKE, which does not have this field.",
    )
    splits: "list[Split]" = Field(
        default=[], description="Hostnames whose turns are split between pools. Weights split turns, not calls."
    )


class Share(BaseModel):
    model_config = STRICT
    pool: value_types.PoolName = Field(description="Name of the pool.")
    weight: int = Field(ge=0, le=1_000_000, description="Weight of the pool, relative to the other weights of the split.")


class Split(BaseModel):
    """Weights split turns, not calls: the turns of one call go to different models."""

    model_config = STRICT
    name: value_types.PoolName = Field(description="Name of the split. The HTTPRoute's name contains it.")
    hostname: value_types.Hostname = Field(description="Hostname of the split. No pool may have it.")
    shares: list[Share] = Field(min_length=1, description="Pools and their weights.")


class Ingress(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=False, description="Create an Ingress for each pool. Use it where there is no Gateway API.")
    class_name: value_types.Name = Field(default="", description="Ingress class. Empty means the cluster's default.")
    annotations: dict[str, str] = Field(
        default={},
        description="Annotations of the Ingresses. Most controllers need some to pass streams unbuffered: docs/gateways.md.",
    )
    tls_secret: value_types.Name = Field(default="", description="TLS Secret for the pools' hostnames.")


class InferencePool(BaseModel):
    model_config = STRICT
    enabled: bool = Field(
        default=False,
        description="Create an InferencePool with llm-d's endpoint picker for each pool. Turns go to it and not to the Service.",
    )
    image: Image = Field(
        default=Image(repository="llm-d-router-endpoint-picker", tag="v0.9.0"),
        description="Image of the endpoint picker. The chart's configuration of it is for the default version.",
    )
    replicas: int = Field(
        default=1, ge=1, description="Replicas of the endpoint picker of each pool. Every turn waits for its answer."
    )
    node_selector: value_types.Labels = Field(default={}, description="Node selector, as in Kubernetes.")
    tolerations: Objects = Field(default=[], description="Tolerations, as in Kubernetes.")
    priority_class_name: value_types.Name = Field(
        default="", description="Priority class of the endpoint picker. Use the class of the pools."
    )
    session_header: str = Field(
        default="x-session-token",
        pattern=r"^[a-z0-9-]+$",
        description="Response header with the session token. A turn that sends the header back goes to the same pod.",
    )
    resources: Resources = Field(
        default=Resources(requests={"cpu": "500m", "memory": "512Mi"}, limits={"memory": "512Mi"}),
        description="Resources of the endpoint picker.",
    )


class Prometheus(BaseModel):
    model_config = STRICT
    url: value_types.Url = Field(
        default="", description="URL that KEDA queries, e.g. `http://prometheus-operated.monitoring.svc:9090`."
    )
    trigger_authentication: value_types.Name = Field(
        default="", description="KEDA TriggerAuthentication, if Prometheus needs credentials."
    )


class Toggle(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=False, description="Create the resource. It needs Prometheus Operator.")
    labels: value_types.Labels = Field(
        default={}, description="Labels that your Prometheus selects by, e.g. `release: kube-prometheus-stack`."
    )


class PodMonitor(Toggle):
    interval_seconds: int = Field(
        default=15, ge=5, le=60, description="Seconds between two scrapes. Rules look at the last one or two minutes."
    )


class Dashboards(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=True, description="Create ConfigMaps that Grafana's sidecar loads.")
    labels: value_types.Labels = Field(default={"grafana_dashboard": "1"}, description="Labels that the sidecar selects by.")
    annotations: dict[str, str] = Field(
        default={}, description="Annotations of the ConfigMaps, e.g. `grafana_folder: Firstword`."
    )


class Monitoring(BaseModel):
    model_config = STRICT
    pod_monitor: PodMonitor = Field(default=PodMonitor(), description="PodMonitor, by which Prometheus finds the pods.")
    rules: Toggle = Field(default=Toggle(), description="Alerts and recording rules.")
    dashboards: Dashboards = Field(default=Dashboards(), description="Grafana dashboards.")


class SecurityContext(BaseModel):
    model_config = STRICT
    run_as_user: int = Field(
        default=10001, ge=-1, description="User ID of the processes. It cannot be 0. -1 lets the cluster choose it (OpenShift)."
    )
    fs_group: int = Field(default=10001, ge=-1, description="Group ID of the volumes. -1 lets the cluster choose it.")


class NetworkPolicy(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=True, description="Allow only the traffic that the pods need and that is listed here.")
    turns_from: Objects = Field(default=[], description="NetworkPolicy peers that may call the service. Empty allows all peers.")
    metrics_from: Objects = Field(
        default=[{"namespaceSelector": {}}],
        description="NetworkPolicy peers that may scrape metrics. The default allows every pod of the cluster.",
    )
    egress: Objects = Field(
        default=[],
        description="Additional egress rules of every pod, e.g. to a trace collector. The chart allows DNS (53, 5353), 443 for "
        "downloads, and 443 and 6443 for the endpoint picker, which calls the Kubernetes API. Add the API's port if it differs.",
    )


class Tools(BaseModel):
    model_config = STRICT
    image: Image = Field(default=Image(), description="Image of the check and the load test.")
    resources: Resources = Field(
        default=Resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "1Gi"}), description="Resources of each pod."
    )
    node_selector: value_types.Labels = Field(default={}, description="Node selector, as in Kubernetes.")
    tolerations: Objects = Field(default=[], description="Tolerations, as in Kubernetes.")


class Check(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=True, description="Run `firstword check` against each pool at `helm test`.")


class LoadTest(BaseModel):
    model_config = STRICT
    enabled: bool = Field(
        default=False,
        description="Run a Job of simulated calls at each install and upgrade, once the pool is ready: docs/launch.md.",
    )
    pool: value_types.PoolNameOrNone = Field(default="", description="Name of the pool to test. Empty means the first pool.")
    scenario: Literal["smoke", "steady", "ramp", "spike", "soak", "barge-in"] = Field(
        default="ramp",
        description="Scenario from docs/loadtest.md. `noisy-tenant` is not available, because it needs a second tenant's key.",
    )
    calls: int = Field(default=200, ge=1, description="Maximum number of simultaneous calls (Locust's -u).")
    arrivals_per_second: float = Field(default=2.0, gt=0, description="New calls per second (Locust's -r).")
    seconds: int = Field(default=600, ge=30, description="Duration in seconds (Locust's -t).")
    workers: int = Field(default=2, ge=1, description="Number of Locust worker pods. Each runs one process.")
    thresholds: Mapping = Field(default={}, description="Thresholds of the verdict, as in docs/launch.md.")


class Values(BaseModel):
    """All values of the chart."""

    model_config = STRICT
    pools: list[Pool] = Field(
        default=[Pool(name="default")], min_length=1, description="Pools. Each pool overrides `poolDefaults`."
    )
    pool_defaults: PoolValues = Field(default=PoolValues(), description="Default values of every pool.")
    image_pull_secrets: Objects = Field(default=[], description="Secrets for pulling images, as in `- name: registry`.")
    keys: Keys = Field(
        default=Keys(),
        description="Source of the API keys. Choose exactly one of three: `existingSecret`, `generate`, `externalSecret`.",
    )
    gateway: Gateway = Field(default=Gateway(), description="Gateway API.")
    ingress: Ingress = Field(default=Ingress(), description="Ingress, for clusters without Gateway API.")
    inference_pool: InferencePool = Field(
        default=InferencePool(), description="InferencePool, which chooses the pod of each turn by load and prefix cache."
    )
    prometheus: Prometheus = Field(default=Prometheus(), description="Prometheus that the autoscaler queries.")
    monitoring: Monitoring = Field(default=Monitoring(), description="Metrics, alerts and dashboards.")
    security_context: SecurityContext = Field(default=SecurityContext(), description="User and group of the processes.")
    network_policy: NetworkPolicy = Field(default=NetworkPolicy(), description="Network policies.")
    tools: Tools = Field(default=Tools(), description="Pods of the check and the load test.")
    check: Check = Field(default=Check(), description="Check after an install.")
    load_test: LoadTest = Field(default=LoadTest(), description="Load test before launch.")
