"""Strict validation of custom resources with the CustomResourceDefinitions under ../shared/crds.

An API server silently removes unknown fields, and these tests report them. They do not evaluate CEL rules
(`x-kubernetes-validations`).
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
    """Return the schemas by apiVersion and kind. Empty when the folder is missing."""
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
    """Convert a CRD's OpenAPI schema to a strict JSON schema. `anyOf` and similar keys only add rules, so they stay."""
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
