"""Custom resources against the CustomResourceDefinitions under ../shared/crds, strictly: an API server prunes what a schema does
not have, a test says so. CEL rules (`x-kubernetes-validations`) are not evaluated.
"""

import functools
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from tests.chart.rendering import Json

CRDS = Path(__file__).parents[3] / "shared/crds"
# Some of the files are a megabyte.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MISSING = f"no CustomResourceDefinitions under {CRDS}: custom resources are rendered, but not checked against their schemas"


@functools.cache
def schemas() -> dict[tuple[str, str], Json]:
    """By apiVersion and kind; empty where the folder is not there."""
    found: dict[tuple[str, str], Json] = {}
    for file in CRDS.glob("*/*.yaml"):
        for definition in yaml.load_all(file.read_text(), _LOADER):
            spec = definition["spec"]
            for version in spec["versions"]:
                if version["served"]:
                    key = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
                    found[key] = _strict(version["schema"]["openAPIV3Schema"], is_object=True)
    return found


def problems(document: Json) -> list[str]:
    validator = jsonschema.Draft202012Validator(schemas()[document["apiVersion"], document["kind"]])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def _strict(schema: Any, *, is_object: bool = False) -> Any:
    """JSON schema of what CRDs write in OpenAPI's. Alternatives (`anyOf` …) stay: they only add to what stands beside them."""
    if not isinstance(schema, dict):
        return schema
    result = {key: value for key, value in schema.items() if not key.startswith("x-")}
    for key in ("items", "additionalProperties", "not"):
        if key in result:
            result[key] = _strict(result[key])
    if "properties" in result:
        result["properties"] = {name: _strict(value) for name, value in result["properties"].items()}
        if is_object:
            result["properties"] |= {"metadata": {"type": "object"}}
        if not schema.get("x-kubernetes-preserve-unknown-fields") and "additionalProperties" not in result:
            result["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        result = {key: value for key, value in result.items() if key != "type"} | {"type": ["integer", "string"]}
    if result.pop("nullable", False) and "type" in result:
        result["type"] = [result["type"], "null"]
    return result
