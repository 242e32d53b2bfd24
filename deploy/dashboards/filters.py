"""What each query is narrowed by: the dashboard's variables, in the labels that its metrics have.

`namespace`, `release` and `pool` come from the scraper, not from the process. What kube-state-metrics and the DCGM exporter tell
has none of our labels, so it is found by name: the chart names a Deployment `<fullname>-<pool>`, where fullname is `firstword` or
`<release>-firstword`, and its pods after it.
"""

POD = 'namespace=~"$namespace", release=~"$release", pool=~"$pool"'
"""Of every series of a pod of ours."""

MODEL = f'{POD}, model=~"$model"'
TENANT = f'{MODEL}, tenant=~"$tenant"'

# The job narrows what others have too: another vLLM server, any process.
ENGINE = f'job="firstword", {POD}, model_name=~"$model"'
PROCESS = f'job="firstword", {POD}'

# The first matcher says that it is ours and of which pool, the second of which release.
_OF_US = "(.+-)?firstword-($pool)"
_OF_RELEASE = "($release)(-firstword)?-($pool)"
_POD_SUFFIX = "-[a-z0-9]+-[a-z0-9]+"

DEPLOYMENT = f'namespace=~"$namespace", deployment=~"{_OF_US}", deployment=~"{_OF_RELEASE}"'
AUTOSCALER = (
    f'namespace=~"$namespace", horizontalpodautoscaler=~"(keda-hpa-)?{_OF_US}", '
    f'horizontalpodautoscaler=~"(keda-hpa-)?{_OF_RELEASE}"'
)


def named_pods(prefix: str = "") -> str:
    """Our pods in what others tell of them. `prefix` is `exported_` where the scraper keeps `pod` for the exporter's own."""
    namespace, pod = f"{prefix}namespace", f"{prefix}pod"
    return f'{namespace}=~"$namespace", {pod}=~"{_OF_US}{_POD_SUFFIX}", {pod}=~"{_OF_RELEASE}{_POD_SUFFIX}"'


POOL = "(.+-)?firstword-(.+)"
POD_POOL = f"{POOL}{_POD_SUFFIX}"
"""Where in a name the pool stands: the second group."""
