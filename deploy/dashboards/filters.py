"""Label matchers that narrow each query to the dashboard's variables.

The scraper adds `namespace`, `release` and `pool`; the process does not. Metrics of kube-state-metrics and the DCGM exporter have
none of our labels, so their matchers use names. The chart names a Deployment `<fullname>-<pool>`, and its pods after it. The
fullname is `firstword` or `<release>-firstword`.
"""

POD = 'namespace=~"$namespace", release=~"$release", pool=~"$pool"'
"""Matches every series of our pods."""

MODEL = f'{POD}, model=~"$model"'
TENANT = f'{MODEL}, tenant=~"$tenant"'

# Other servers have these metrics too (another vLLM server, any process), so the job is matched as well.
ENGINE = f'job="firstword", {POD}, model_name=~"$model"'
PROCESS = f'job="firstword", {POD}'

# The first matcher selects our names and the pool, the second selects the release.
_OF_US = "(.+-)?firstword-($pool)"
_OF_RELEASE = "($release)(-firstword)?-($pool)"
_POD_SUFFIX = "-[a-z0-9]+-[a-z0-9]+"

DEPLOYMENT = f'namespace=~"$namespace", deployment=~"{_OF_US}", deployment=~"{_OF_RELEASE}"'
AUTOSCALER = (
    f'namespace=~"$namespace", horizontalpodautoscaler=~"(keda-hpa-)?{_OF_US}", '
    f'horizontalpodautoscaler=~"(keda-hpa-)?{_OF_RELEASE}"'
)


def named_pods(prefix: str = "") -> str:
    """Matches our pods in the metrics of other exporters.

    `prefix` is `exported_` if the scraper keeps the label `pod` for the exporter's own pod.
    """
    namespace, pod = f"{prefix}namespace", f"{prefix}pod"
    return f'{namespace}=~"$namespace", {pod}=~"{_OF_US}{_POD_SUFFIX}", {pod}=~"{_OF_RELEASE}{_POD_SUFFIX}"'


POOL = "(.+-)?firstword-(.+)"
POD_POOL = f"{POOL}{_POD_SUFFIX}"
"""Pattern of a pod's name. The second group is the pool, as in `POOL`."""
