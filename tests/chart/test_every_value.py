"""Every value has an effect: changing one value of the kitchen sink changes the rendered files."""

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

import pytest
from helm_python import HelmError

from deploy.chart.tree import Node, tree
from tests.chart.rendering import CHART, NAMESPACE, RELEASE, Json, merged, values_of

Place = tuple[str | int, ...]
"""Path of a value: keys and list positions from the top."""

FOR_PREFLIGHT_ALONE = {"model.weightsGiB", "model.kvKiBPerToken", "gpu.memoryGiB"}
KITCHEN_SINK = values_of("kitchen-sink")
# Exactly one source of keys is allowed, so none of the three can be changed alone.
KEY_SOURCES: dict[str, Json] = {
    "keys.existingSecret": {"existingSecret": "firstword-keys"},
    "keys.generate": {"generate": True},
    "keys.externalSecret.enabled": {"externalSecret": {"enabled": True, "storeName": "vault", "remoteKey": "voice"}},
}
NO_DIGESTS = merged(KITCHEN_SINK, {"inferencePool": {"image": {"digest": ""}}, "tools": {"image": {"digest": ""}}})
# Values that the kitchen sink cannot show: a picker needs the gateway, and a digest overrides its tag.
ELSEWHERE: dict[str, Json] = {
    "gateway.enabled": values_of("multi-node"),
    "inferencePool.image.tag": NO_DIGESTS,
    "tools.image.tag": NO_DIGESTS,
}
# Other values where the generic change by type would not be valid.
OTHERS: dict[str, Any] = {
    "cache.size": "7Gi",
    "keys.externalSecret.refreshInterval": "7m",
    "loadTest.pool": "big",
    "gateway.splits[].shares[].pool": "wide",
    "settings": {"max_turns": 9},
    "adapters[].thinking": "auto",
}


def paths(nodes: Sequence[Node], at: str = "") -> Iterator[tuple[str, Node]]:
    """Yield every value with its path. For a pool's value it is the path within the pool."""
    for node in nodes:
        path = "" if node.key == "poolDefaults" else f"{at}{node.key}"
        if node.nodes:
            yield from paths(node.nodes, f"{path}." if path else "")
        elif node.items:
            yield from paths(node.items, f"{path}[].")
        else:
            yield path, node


ALL = dict(paths(tree()))


def places(path: str, values: Json) -> Iterator[Place]:
    """Yield the places where `values` sets the path: at the top, in each pool and in poolDefaults."""
    in_pool: list[Place] = [("pools", number) for number in range(len(values.get("pools", ())))]
    in_pool += [("poolDefaults",)] if "poolDefaults" in values else []
    for start in [(), *in_pool]:
        yield from _below(start, path, values)


def _below(start: Place, path: str, values: Json) -> Iterator[Place]:
    found: list[Place] = [start]
    for step in path.replace("[]", ".[]").split("."):
        found = [(*place, more) for place in found for more in _steps(step, at(values, place))]
    yield from found


def _steps(step: str, here: Any) -> list[str | int]:
    if step == "[]":
        return list(range(len(here))) if isinstance(here, list) else []
    return [step] if isinstance(here, dict) and step in here else []


def at(values: Any, place: Place) -> Any:
    for step in place:
        values = values[step]
    return values


def other(path: str, node: Node, value: Any) -> Any:
    """Return another value of the same type."""
    if node.choices:
        return next(choice for choice in node.choices if choice != value)
    if path in OTHERS:
        return value | OTHERS[path] if isinstance(value, dict) else OTHERS[path]
    return _BY_TYPE[node.type](value)


def _other_text(value: str) -> str:
    return value[:-1] + ("1" if value.endswith("0") else "0") if value[-1:].isalnum() else value + "0"


_BY_TYPE: dict[str, Callable[[Any], Any]] = {
    "boolean": lambda value: not value,
    "integer": lambda value: value + 1,
    "number": lambda value: value + 1,
    "map": lambda value: value | {"changed": "yes"},
    "list": lambda value: [*value, "another"] if value and isinstance(value[0], str) else value[:-1],
    "string": _other_text,
}


def rendered(values: Json) -> Any:
    """Render to text by file. Comments are included, but they do not depend on values."""
    return CHART.render(values, name=RELEASE, namespace=NAMESPACE)


BEFORE = {json.dumps(values): rendered(values) for values in (KITCHEN_SINK, *ELSEWHERE.values())}


def changes(path: str, place: Place, values: Json) -> bool:
    """Check whether another value changes the files. A refusal does not count: the refusing check may be its only reader."""
    changed = copy.deepcopy(values)
    at(changed, place[:-1])[place[-1]] = other(path, ALL[path], at(values, place))
    try:
        return bool(rendered(changed) != BEFORE[json.dumps(values)])
    except HelmError:
        return False


@pytest.mark.parametrize("path", sorted(ALL.keys() - KEY_SOURCES.keys() - FOR_PREFLIGHT_ALONE))
def test_each_value_does_something(path: str) -> None:
    values = ELSEWHERE.get(path, KITCHEN_SINK)
    said = list(places(path, values))
    assert said, "the kitchen sink does not set it"
    assert any(changes(path, place, values) for place in said)


def test_each_way_to_keys_is_another() -> None:
    renders = [rendered({"keys": source}) for source in KEY_SOURCES.values()]
    assert all(one != two for one, two in combinations(renders, 2))
    assert rendered({"keys": {"existingSecret": "another"}}) not in renders


@pytest.mark.parametrize("path", sorted(FOR_PREFLIGHT_ALONE))
def test_what_preflight_alone_reads_changes_nothing(path: str) -> None:
    """Keeps the list above correct."""
    assert path in ALL
    said = list(places(path, KITCHEN_SINK))
    assert said and not any(changes(path, place, KITCHEN_SINK) for place in said)


@pytest.mark.parametrize("path", sorted(ALL.keys() - {"keys.existingSecret", "keys.generate"}))
def test_the_kitchen_sink_says_each_otherwise_than_the_default(path: str) -> None:
    node = ALL[path]
    said = [at(KITCHEN_SINK, place) for place in places(path, KITCHEN_SINK)]
    # A feature that is on by default must be on to have an effect. Other tests turn it off.
    assert any(value != node.default for value in said) or (said and node.default is True)
