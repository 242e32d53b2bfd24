"""Renders the chart with the real Helm, and reads values as preflight does."""

import copy
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from helm_python import Chart

from service.preflight.values.chart_values import Values

Json = dict[str, Any]

FOLDER = Path(__file__).parents[2] / "deploy/helm/firstword"
CHART = Chart.load(FOLDER)
SCENARIOS = tuple(sorted(file.name.removesuffix("-values.yaml") for file in (FOLDER / "ci").glob("*-values.yaml")))
RELEASE, NAMESPACE = "voice", "calls"
NOTES = "firstword/templates/NOTES.txt"
MINIMAL: Json = {"keys": {"existingSecret": "firstword-keys"}}


@dataclass(frozen=True)
class Pod:
    """Pod template of a workload."""

    owner: Json
    role: str
    """server, worker (of a replica with several nodes), picker, or the component of a Job or test."""
    template: Json

    @property
    def spec(self) -> Json:
        spec: Json = self.template["spec"]
        return spec

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.template.get("metadata", {}).get("labels", {}))

    @property
    def containers(self) -> list[Json]:
        return [*self.spec.get("initContainers", ()), *self.spec["containers"]]

    @property
    def name(self) -> str:
        return f"{self.owner['kind']}/{self.owner['metadata']['name']}/{self.role}"


@dataclass(frozen=True)
class Rendered:
    objects: tuple[Json, ...]
    notes: str
    text: str = field(repr=False)
    """The complete output of Helm."""

    def of(self, kind: str) -> list[Json]:
        return [document for document in self.objects if document["kind"] == kind]

    def one(self, kind: str, name: str) -> Json:
        (found,) = (document for document in self.of(kind) if document["metadata"]["name"] == name)
        return found

    @property
    def pods(self) -> list[Pod]:
        return [pod for document in self.objects for pod in _pods(document)]

    def server(self, pool: str) -> Pod:
        """Return the pods of a pool that serve turns."""
        (found,) = (pod for pod in self.pods if pod.role == "server" and pod.labels["firstword.io/pool"] == pool)
        return found


def _pods(document: Json) -> Iterator[Pod]:
    if document["kind"] == "Pod":
        yield Pod(document, "pod", document)
    elif document["kind"] == "LeaderWorkerSet":
        parts = document["spec"]["leaderWorkerTemplate"]
        yield Pod(document, "server", parts["leaderTemplate"])
        yield Pod(document, "worker", parts["workerTemplate"])
    elif "template" in document.get("spec", {}) and "containers" in document["spec"]["template"].get("spec", {}):
        component = document["spec"]["template"]["metadata"]["labels"].get("app.kubernetes.io/component", "pod")
        yield Pod(document, component, document["spec"]["template"])


def render(values: Mapping[str, Any], *, name: str = RELEASE, namespace: str = NAMESPACE, is_upgrade: bool = False) -> Rendered:
    """Render the chart. Raises `HelmValuesError` when the schema refuses the values, `HelmRenderError` when a template does."""
    files = CHART.render(dict(values), name=name, namespace=namespace, is_install=not is_upgrade, is_upgrade=is_upgrade)
    documents = [each for file, text in sorted(files.items()) if file != NOTES for each in yaml.safe_load_all(text) if each]
    return Rendered(tuple(documents), files[NOTES], "\n---\n".join(text for _, text in sorted(files.items())))


def values_of(scenario: str) -> Json:
    read: Json = yaml.safe_load((FOLDER / f"ci/{scenario}-values.yaml").read_text())
    return read


@functools.cache
def scenario(name: str) -> Rendered:
    return render(values_of(name))


def read(values: Mapping[str, Any]) -> Values:
    return Values.model_validate(dict(values))


def merged(below: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Merge as Helm does: maps key by key, everything else as a whole."""
    result = copy.deepcopy(dict(below))
    for key, value in over.items():
        has_maps = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if has_maps else copy.deepcopy(value)
    return result
