"""values.schema.json, with which Helm validates the user's values before it renders anything.

Unknown keys are errors at every depth, except in maps whose keys belong to Kubernetes or vLLM.
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
    # Helm passes this key to a chart inside another chart.
    schema["properties"]["global"] = {"type": "object", "description": "Values of a parent chart. This chart does not read them."}
    # Helm 3 and 4 both support this draft.
    whole = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart firstword", **schema}
    return json.dumps(whole | {"$defs": dict(sorted(definitions.items()))}, indent=2, ensure_ascii=False) + "\n"


def _settings() -> dict[str, Any]:
    """Return the schema of the service's settings, so that Helm refuses an invalid setting before a pod starts."""
    schema = _plain(Settings.model_json_schema())
    schema["properties"] = {name: of for name, of in schema["properties"].items() if name not in SET_BY_CHART}
    needed = json.dumps(schema["properties"])
    definitions = {name: of for name, of in schema.pop("$defs").items() if f'"#/$defs/{name}"' in needed}
    return definitions | {"Settings": schema}


def _plain(schema: Any, *, of_properties: bool = False) -> Any:
    """Remove titles, which repeat the key, and defaults, which are in values.yaml."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    drop = () if of_properties else ("title", "default")
    return {key: _plain(each, of_properties=key == "properties") for key, each in schema.items() if key not in drop}
