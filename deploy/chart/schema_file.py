"""values.schema.json: what Helm checks a user's values with, before anything is rendered. Unknown keys are refused at any depth,
but in what Kubernetes and vLLM have the names for.
"""

import json
from typing import Any

from service.preflight.values.chart_settings import SET_BY_CHART
from service.preflight.values.chart_values import Values
from service.settings import Settings


def render() -> str:
    schema = _plain(Values.model_json_schema(by_alias=True))
    definitions = schema.pop("$defs") | _settings()
    for pool in ("Pool", "PoolValues"):
        of = definitions[pool]["properties"]
        of["settings"] = {"description": of["settings"]["description"], "$ref": "#/$defs/Settings"}
    # Helm gives it to a chart inside another.
    schema["properties"]["global"] = {"type": "object", "description": "Of the chart around this one; not read."}
    # The draft that Helm 3 and 4 both know.
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart firstword", **schema}
    return json.dumps(whole | {"$defs": dict(sorted(definitions.items()))}, indent=2, ensure_ascii=False) + "\n"


def _settings() -> dict[str, Any]:
    """Names and types of settings, so that a wrong one is refused before a pod has to."""
    schema = _plain(Settings.model_json_schema())
    schema["properties"] = {name: of for name, of in schema["properties"].items() if name not in SET_BY_CHART}
    needed = json.dumps(schema["properties"])
    definitions = {name: of for name, of in schema.pop("$defs").items() if f'"#/$defs/{name}"' in needed}
    return definitions | {"Settings": schema}


def _plain(schema: Any, *, of_properties: bool = False) -> Any:
    """Without what says nothing: titles, which repeat the key, and defaults, which stand in values.yaml."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    drop = () if of_properties else ("title", "default")
    return {key: _plain(each, of_properties=key == "properties") for key, each in schema.items() if key not in drop}
