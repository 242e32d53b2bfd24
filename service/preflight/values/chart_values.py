"""The chart's values, the one place that says what they are: `python -m deploy.chart` writes values.yaml, values.schema.json and
the chart's README from here, and preflight reads a user's values with it. Every unknown key is refused. Empty means "not
given": Helm drops nulls.
"""

from typing import Literal

from pydantic import BaseModel, Field

from service.preflight.values import value_types
from service.preflight.values.pool_values import STRICT, Image, Mapping, Objects, Pool, PoolValues, Resources


class ExternalSecret(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=False, description="Let External Secrets Operator make the Secret from your vault.")
    store_kind: Literal["SecretStore", "ClusterSecretStore"] = Field(default="SecretStore", description="Kind of the store.")
    store_name: value_types.Name = Field(default="", description="Its name.")
    remote_key: str = Field(default="", description="The vault's entry, whose property `api-key` is the key: `fw_<id>_<secret>`.")
    tenant: value_types.Tenant = Field(default="default", description="Whose key it is.")
    refresh_interval: value_types.Duration = Field(default="1m", description="How often the vault is asked.")


class Keys(BaseModel):
    model_config = STRICT
    existing_secret: value_types.Name = Field(
        default="", description="Your Secret with a key file, `firstword keys add`'s, and for test and load test a plain key."
    )
    file_key: value_types.Key = Field(default="keys.yaml", description="The key file's key in the Secret.")
    plain_key: value_types.Key = Field(
        default="api-key", description="The key of a plain API key in it, for `helm test` and the load test."
    )
    generate: bool = Field(
        default=False, description="Without a Secret of yours, make one with a random key at the first install. Not for GitOps."
    )
    external_secret: ExternalSecret = Field(default=ExternalSecret(), description="Instead: from a vault.")


class Gateway(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=False, description="An HTTPRoute for each pool, on its `hostname`.")
    parent_refs: Objects = Field(default=[], description="The Gateway's listeners, as in an HTTPRoute.")
    annotations: dict[str, str] = Field(default={}, description="Of the HTTPRoutes.")
    timeouts: bool = Field(
        default=True, description="Turn the gateway's request time-out off. GKE has no such field: false there."
    )
    splits: "list[Split]" = Field(default=[], description="Hostnames whose turns are split between pools.")


class Share(BaseModel):
    model_config = STRICT
    pool: value_types.PoolName = Field(description="A pool's name.")
    weight: int = Field(ge=0, le=1_000_000, description="Its share, relative to the others'.")


class Split(BaseModel):
    """Weights split turns, not calls: the turns of one call come to different models."""

    model_config = STRICT
    name: value_types.PoolName = Field(description="Names the HTTPRoute.")
    hostname: value_types.Hostname = Field(description="The hostname; no pool's.")
    shares: list[Share] = Field(min_length=1, description="Pools and their weights. They split turns, not calls.")


class Ingress(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=False, description="An Ingress for each pool, where there is no Gateway API.")
    class_name: value_types.Name = Field(default="", description="By default the cluster's.")
    annotations: dict[str, str] = Field(
        default={}, description="What your controller needs to leave streams alone: docs/gateways.md."
    )
    tls_secret: value_types.Name = Field(default="", description="The TLS Secret for the pools' hostnames.")


class InferencePool(BaseModel):
    model_config = STRICT
    enabled: bool = Field(
        default=False, description="An InferencePool for each pool, with llm-d's endpoint picker, instead of its Service."
    )
    image: Image = Field(
        default=Image(repository="llm-d-router-endpoint-picker", tag="v0.9.0"),
        description="The endpoint picker. Its configuration is that of this version.",
    )
    replicas: int = Field(default=1, ge=1, description="Of the picker, which is in the way of every turn.")
    node_selector: value_types.Labels = Field(default={}, description="As in Kubernetes.")
    tolerations: Objects = Field(default=[], description="As in Kubernetes.")
    priority_class_name: value_types.Name = Field(
        default="", description="As that of the pools: without a picker no turn is well placed."
    )
    session_header: str = Field(
        default="x-session-token",
        pattern=r"^[a-z0-9-]+$",
        description="The picker's answers carry it; a turn that sends it back goes to the same pod.",
    )
    resources: Resources = Field(
        default=Resources(requests={"cpu": "500m", "memory": "512Mi"}, limits={"memory": "512Mi"}), description="Of the picker."
    )


class Prometheus(BaseModel):
    model_config = STRICT
    url: value_types.Url = Field(default="", description="What KEDA asks, e.g. `http://prometheus-operated.monitoring.svc:9090`.")
    trigger_authentication: value_types.Name = Field(
        default="", description="A TriggerAuthentication of KEDA's, where it needs a password."
    )


class Toggle(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=False, description="Needs Prometheus Operator.")
    labels: value_types.Labels = Field(
        default={}, description="What your Prometheus selects by, e.g. `release: kube-prometheus-stack`."
    )


class PodMonitor(Toggle):
    interval_seconds: int = Field(
        default=15, ge=5, le=60, description="Between two scrapes; rules look at the last minute or two."
    )


class Dashboards(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=True, description="ConfigMaps that Grafana's sidecar loads.")
    labels: value_types.Labels = Field(default={"grafana_dashboard": "1"}, description="What the sidecar selects by.")
    annotations: dict[str, str] = Field(default={}, description="E.g. `grafana_folder: Firstword`.")


class Monitoring(BaseModel):
    model_config = STRICT
    pod_monitor: PodMonitor = Field(default=PodMonitor(), description="How Prometheus finds the pods.")
    rules: Toggle = Field(default=Toggle(), description="Alerts and recording rules.")
    dashboards: Dashboards = Field(default=Dashboards(), description="Grafana's.")


class SecurityContext(BaseModel):
    model_config = STRICT
    run_as_user: int = Field(default=10001, ge=-1, description="Any but 0; -1: whom the cluster chooses (OpenShift).")
    fs_group: int = Field(default=10001, ge=-1, description="Whose the volumes are; -1: whom the cluster chooses.")


class NetworkPolicy(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=True, description="Nothing in or out but what is listed here and what the pods need.")
    turns_from: Objects = Field(
        default=[], description="Who may call, as NetworkPolicy peers; empty: everybody who reaches the port."
    )
    metrics_from: Objects = Field(
        default=[{"namespaceSelector": {}}], description="Who may scrape, as peers; by default every pod of the cluster."
    )
    egress: Objects = Field(
        default=[],
        description="Further egress rules of every pod, e.g. to a trace collector. There are DNS (53, 5353), 443 for downloads, "
        "and 443 and 6443 for the picker, which asks the API server: add its port where it is another.",
    )


class Tools(BaseModel):
    model_config = STRICT
    image: Image = Field(default=Image(), description="The small image: check, load test.")
    resources: Resources = Field(
        default=Resources(requests={"cpu": "1", "memory": "1Gi"}, limits={"memory": "1Gi"}), description="Of each pod."
    )
    node_selector: value_types.Labels = Field(default={}, description="As in Kubernetes.")
    tolerations: Objects = Field(default=[], description="As in Kubernetes.")


class Check(BaseModel):
    model_config = STRICT
    enabled: bool = Field(default=True, description="`helm test` runs `firstword check` against each pool.")


class LoadTest(BaseModel):
    model_config = STRICT
    enabled: bool = Field(
        default=False, description="A Job of simulated calls, one for each upgrade, once the pool is ready: docs/launch.md."
    )
    pool: value_types.PoolNameOrNone = Field(default="", description="Which pool; by default the first.")
    scenario: Literal["smoke", "steady", "ramp", "spike", "soak", "barge-in"] = Field(
        default="ramp", description="As in docs/loadtest.md; `noisy-tenant` would need a second tenant's key."
    )
    calls: int = Field(default=200, ge=1, description="Simultaneous calls at most (Locust's -u).")
    arrivals_per_second: float = Field(default=2.0, gt=0, description="Call arrivals (Locust's -r).")
    seconds: int = Field(default=600, ge=30, description="How long (Locust's -t).")
    workers: int = Field(default=2, ge=1, description="Worker pods; one process of calls each.")
    thresholds: Mapping = Field(default={}, description="Verdict thresholds, as in docs/launch.md.")


class Values(BaseModel):
    """Raises pydantic's `ValidationError` where a value is wrong."""

    model_config = STRICT
    pools: list[Pool] = Field(
        default=[Pool(name="default")], min_length=1, description="GPU node pools; each is over `poolDefaults`."
    )
    pool_defaults: PoolValues = Field(default=PoolValues(), description="What each pool has that does not say otherwise.")
    image_pull_secrets: Objects = Field(default=[], description="`- name: …`.")
    keys: Keys = Field(default=Keys(), description="Who may call: one of three ways.")
    gateway: Gateway = Field(default=Gateway(), description="Gateway API.")
    ingress: Ingress = Field(default=Ingress(), description="The older way in.")
    inference_pool: InferencePool = Field(default=InferencePool(), description="Choosing the pod by its load.")
    prometheus: Prometheus = Field(default=Prometheus(), description="Whom the autoscaler asks.")
    monitoring: Monitoring = Field(default=Monitoring(), description="Metrics, alerts, dashboards.")
    security_context: SecurityContext = Field(default=SecurityContext(), description="Who the processes are.")
    network_policy: NetworkPolicy = Field(default=NetworkPolicy(), description="Who may speak to whom.")
    tools: Tools = Field(default=Tools(), description="Pods of check and load test.")
    check: Check = Field(default=Check(), description="After an install.")
    load_test: LoadTest = Field(default=LoadTest(), description="Before launch.")
