"""The model of the chart's value `settings`: the service's settings and types, without those that the chart sets."""

from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from service.settings import Settings

# templates/_config.tpl sets these from other values, so `settings` must not contain them.
SET_BY_CHART = frozenset(
    {
        "host",
        "port",
        "metrics_port",
        "metrics_on_main_port",
        "log_format",
        "api_keys",
        "api_keys_file",
        "model",
        "served_model_name",
        "model_aliases",
        "adapters",
        "chat_template",
        "engine_args",
        "lameduck_s",
        "drain_timeout_s",
        "nodes",
        "node_rank",
        "master_address",
    }
)


_FIELDS: dict[str, Any] = {
    name: (field.annotation, field) for name, field in Settings.model_fields.items() if name not in SET_BY_CHART
}

ChartSettings: type[BaseModel] = create_model(
    "ChartSettings",
    __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, protected_namespaces=()),
    **_FIELDS,
)
"""The same settings as in the chart's schema, which is generated from them too."""
