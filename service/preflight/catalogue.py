"""Every check, in the order of the table."""

from service.preflight import (
    checks_apis,
    checks_memory,
    checks_metrics,
    checks_namespace,
    checks_nodes,
    checks_pool,
    checks_quota,
    checks_secrets,
    checks_storage,
)
from service.preflight.finding import ClusterCheck, PoolCheck

CLUSTER_CHECKS: tuple[ClusterCheck, ...] = (
    checks_namespace.version,
    checks_nodes.device_plugin,
    checks_apis.apis,
    checks_namespace.exists,
    checks_namespace.pod_security,
    checks_quota.quota,
    checks_quota.limit_range,
    checks_secrets.way,
    checks_secrets.key_file,
    checks_secrets.plain_key,
    checks_apis.store,
    checks_secrets.pull,
    checks_secrets.tls,
    checks_apis.parents,
    checks_apis.ingress_class,
    checks_metrics.scraped,
    checks_metrics.rules,
    checks_metrics.off,
    checks_metrics.exporters,
    checks_metrics.autoscaler,
)
POOL_CHECKS: tuple[PoolCheck, ...] = (
    checks_pool.values,
    checks_pool.hostname,
    checks_nodes.nodes,
    checks_nodes.capacity,
    checks_nodes.spare,
    checks_nodes.most,
    checks_nodes.shared_gpu,
    checks_memory.parallelism,
    checks_memory.gpu_memory,
    checks_pool.runtime_class,
    checks_pool.priority_class,
    checks_storage.storage,
    checks_storage.storage_size,
    checks_secrets.hub_token,
    checks_pool.rollout,
)
