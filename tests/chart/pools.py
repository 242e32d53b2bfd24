"""Parts of one pool or container, in the values and in the rendered objects."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from service.preflight.values.pool_values import Pool, PoolValues
from tests.chart.rendering import SCENARIOS, Json, Pod, Rendered, merged, values_of


def pools_of(values: Mapping[str, Any]) -> list[Pool]:
    """Return the pools, each merged over `poolDefaults` and the chart's defaults."""
    defaults = merged(PoolValues().model_dump(by_alias=True), values.get("poolDefaults", {}))
    return [Pool.model_validate(merged(defaults, pool)) for pool in values.get("pools", [{"name": "default"}])]


each_scenario = pytest.mark.parametrize("name", SCENARIOS)
each_pool = pytest.mark.parametrize(
    ("name", "pool"),
    [(name, pool) for name in SCENARIOS for pool in pools_of(values_of(name))],
    ids=lambda of: getattr(of, "name", of),
)


def server(pod: Pod) -> Json:
    """Return the container of the server or of a worker."""
    return next(each for each in pod.containers if each["name"] == "firstword")


def config_of(rendered: Rendered, pool: str) -> Json:
    """Return the settings file of a pool's service."""
    wanted = {"firstword.io/pool": pool, "app.kubernetes.io/component": "server"}
    (document,) = (each for each in rendered.of("ConfigMap") if each["metadata"]["labels"].items() >= wanted.items())
    config: Json = yaml.safe_load(document["data"]["config.yaml"])
    return config


def mounts(pod: Pod, container: Json) -> list[tuple[Json, Json]]:
    """Return each mount with its volume."""
    volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", ())}
    return [(mount, volumes[mount["name"]]) for mount in container.get("volumeMounts", ())]


def env_of(container: Json) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", ())}
