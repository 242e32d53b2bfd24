"""Every setting, typed: environment variables `FIRSTWORD_*`, over the same keys in the YAML file named by
`FIRSTWORD_CONFIG`, over the defaults here. `docs/settings.md` lists them; a test keeps the two equal.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from service.errors import StartError, did_you_mean

ENV_PREFIX = "FIRSTWORD_"
EMBEDDED_MODEL = "embedded"

_DEFAULT_ADAPTER_PLACES = 8

# Read by others of the project's programs, not by the service.
_NOT_SETTINGS = frozenset({"FIRSTWORD_CONFIG", "FIRSTWORD_API_KEY"})


class AdapterSetting(BaseModel):
    """A LoRA adapter to serve beside the model."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(min_length=1)
    path: str = Field(min_length=1)
    """A local folder: adapter_config.json and adapter_model.safetensors."""


class SystemPrompt(BaseModel):
    """The beginning of an agent's calls, to be in the prefix cache before they come."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    system: str = Field(min_length=1)
    """The system message, or the beginning of it that all calls share."""
    tools: list[dict[str, Any]] = []
    """As in the agent's requests: templates put them beside the system message."""
    tenants: list[str] | None = None
    """Whose it is, where each tenant has a prefix cache of its own; None: everybody's."""
    model: str | None = None
    """An adapter's name; None: the model's."""

    @model_validator(mode="after")
    def _is_json(self) -> "SystemPrompt":
        """YAML can say what no request could."""
        try:
            orjson.dumps(self.model_dump())
        except TypeError:
            raise PydanticCustomError("not_json", "this could not stand in a request: it is no JSON") from None
        return self


class Settings(BaseSettings):
    """The settings of one service process. Times are in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    host: str = Field(default="127.0.0.1", description="The address to bind; 0.0.0.0 to be reached from outside.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port to bind; 0 takes a free one.")
    model: str = Field(
        default=EMBEDDED_MODEL,
        min_length=1,
        description="`embedded` (SmolLM2-135M-Instruct, installed with us), a Hugging Face model ID, or a local folder.",
    )
    served_model_name: str | None = Field(
        default=None, min_length=1, description="The model ID that callers use; by default the model's own name."
    )
    api_keys: SecretStr | None = Field(
        default=None, description="Keys as `tenant=key,tenant=key`; a tenant may repeat. Any non-empty key is valid."
    )
    api_keys_file: Path | None = Field(
        default=None,
        description="A YAML file of hashed keys and tenants' limits, followed while we serve; may be used beside `api_keys`.",
    )
    engine: Literal["vllm", "scripted"] = Field(
        default="vllm", description="`scripted` answers from a script, without a model: for tests and dry runs only."
    )
    engine_args: dict[str, Any] = Field(
        default_factory=dict,
        description="A JSON object of vLLM `AsyncEngineArgs` fields (for `scripted`: `ScriptedArgs`), over our defaults.",
    )
    nodes: int = Field(
        default=1, ge=1, description="Nodes that one replica spans: the leader, and others that run `firstword worker`."
    )
    node_rank: int = Field(
        default=0, ge=0, description="This node's number among them; 0 is the leader, and runs `firstword serve`."
    )
    master_address: str | None = Field(
        default=None, min_length=1, description="The leader's name or address, as every node of the replica reaches it."
    )
    master_port: int = Field(
        default=29501, ge=1, le=65534, description="Where the leader gathers the replica's nodes; the port after it is used too."
    )
    model_aliases: list[str] = Field(
        default_factory=list, description="A JSON list of further names that callers may use for the model."
    )
    adapters: list[AdapterSetting] = Field(
        default_factory=list,
        description="A JSON list of LoRA adapters, `{name, path}` each; in the file, read again when it changes.",
    )
    max_adapters: int | None = Field(
        default=None,
        ge=0,
        description="Adapters loaded at once; by default 0 without `adapters` at the start, else 8, or their number if greater.",
    )
    tool_parser: str = Field(
        default="auto", description="vLLM's tool parser by name; `auto`: the model family's; `none`: tools are not parsed."
    )
    reasoning_parser: str = Field(
        default="auto",
        description="vLLM's reasoning parser by name; `auto`: the model family's; `none`: thoughts stay in the text.",
    )
    cache_isolation: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether tenants keep their prefix caches apart; `auto`: with several tenants, or with a key file.",
    )
    max_turns: int = Field(
        default=256, ge=1, description="Turns in the service at once, waiting ones included, whatever the engine takes."
    )
    max_connections: int = Field(
        default=4096,
        ge=16,
        description="Open connections, as far as the open-files limit allows; one more closes the longest idle one.",
    )
    max_body_bytes: int = Field(default=4 * 2**20, ge=1024, description="Bytes of a request body; more is refused with 413.")
    max_messages: int = Field(default=2048, ge=1, description="Messages of one request; more are refused with 400.")
    max_choices: int = Field(default=8, ge=1, description="The largest `n`; more is refused with 400.")
    body_timeout_s: float = Field(
        default=10.0, gt=0, description="A request body that takes longer to arrive is refused with 408."
    )
    send_timeout_s: float = Field(
        default=30.0, gt=0, description="A client that reads nothing for so long is dropped, and its turn ended."
    )
    ttft_budget_s: float = Field(
        default=5.0,
        gt=0,
        description="Time to first token that a turn may take: refused where it would take longer, `late` where it did.",
    )
    ttft_budget_max_s: float = Field(
        default=30.0, gt=0, description="The longest budget that a tenant or a request (`x-firstword-ttft-budget`) may have."
    )
    tpot_bound_s: float = Field(
        default=0.25, gt=0, description="Time per output token that running turns keep to: it bounds how many run at once."
    )
    frame_window_s: float = Field(
        default=0.04,
        ge=0,
        le=1,
        description="Under load, a stream's text that comes within so long leaves as one frame; 0: each token has its own.",
    )
    clients_may_retry: bool = Field(
        default=False,
        description="The `x-should-retry` of a 503: false keeps the `openai` client from retrying into the overload.",
    )
    engine_stall_s: float = Field(
        default=60.0,
        gt=0,
        description="Unfinished turns, and no engine output for so long beyond its longest step: it is killed, and we exit.",
    )
    keep_alive_s: int = Field(
        default=75, ge=1, description="A connection idle for so long is closed; more than the proxy in front keeps idle ones."
    )
    lameduck_s: float = Field(
        default=20.0, ge=0, description="After SIGTERM, not ready, new turns are still served for so long: proxies take time."
    )
    drain_timeout_s: float = Field(
        default=30.0, ge=0, description="After the lameduck, running turns may take this long to finish."
    )
    warmup_prompts: list[str] = Field(
        default=["Hello! Who are you?"],
        min_length=1,
        description="A JSON list of user messages answered before the service is ready.",
    )
    system_prompts: list[SystemPrompt] = Field(
        default_factory=list,
        description="A JSON list of `{system, tools, tenants, model}`: kept in the prefix cache, so that calls begin early.",
    )
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="A port of its own for `/metrics`, on threads of its own; 0 takes a free one."
    )
    metrics_on_main_port: bool = Field(default=True, description="Whether the main port answers `/metrics` too, without a key.")
    metrics_max_tenants: int = Field(
        default=50, ge=1, description="Tenants with a metrics label of their own; those beyond are counted as `other`."
    )
    otlp_endpoint: str | None = Field(
        default=None, min_length=1, description="The OpenTelemetry collector that traces go to; without it there are none."
    )
    otlp_protocol: Literal["grpc", "http/protobuf"] = Field(
        default="grpc",
        description="How to speak to it; for `http/protobuf`, `/v1/traces` is added where the endpoint has no path.",
    )
    trace_sample_ratio: float = Field(
        default=1.0, ge=0, le=1, description="The part of turns that is traced, of those whose caller sends no trace context."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`json` for machines, `console` for people; `auto`: console on a terminal."
    )

    @field_validator("otlp_endpoint", mode="before")
    @classmethod
    def _empty_is_unset(cls, endpoint: Any) -> Any:
        """Templates of manifests write an empty value for one that is not given."""
        return endpoint or None

    @field_validator("metrics_port")
    @classmethod
    def _metrics_port_is_free(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port and port == info.data.get("port"):
            raise PydanticCustomError(
                "port_taken", "it must differ from FIRSTWORD_PORT, which answers /metrics without it, too", {}
            )
        return port

    @field_validator("metrics_on_main_port")
    @classmethod
    def _metrics_are_somewhere(cls, is_on: bool, info: ValidationInfo) -> bool:
        if not is_on and info.data.get("metrics_port") is None:
            raise PydanticCustomError("no_metrics", "nobody could read the metrics: FIRSTWORD_METRICS_PORT is not set", {})
        return is_on

    @property
    def adapter_places(self) -> int:
        """How many adapters the engine is made for."""
        if self.max_adapters is not None:
            return self.max_adapters
        return max(_DEFAULT_ADAPTER_PLACES, len(self.adapters)) if self.adapters else 0

    @field_validator("adapters")
    @classmethod
    def _adapter_names_are_free(cls, adapters: list[AdapterSetting], info: ValidationInfo) -> list[AdapterSetting]:
        taken = {info.data.get("served_model_name"), *info.data.get("model_aliases", ())}
        _check_adapter_names(adapters, taken)
        return adapters

    @field_validator("max_adapters")
    @classmethod
    def _adapters_have_room(cls, limit: int | None, info: ValidationInfo) -> int | None:
        if limit is not None and limit < (given := len(info.data.get("adapters", ()))):
            raise PydanticCustomError("too_few", "{given} adapters are configured; it must be as many", {"given": given})
        return limit

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources: tuple[PydanticBaseSettingsSource, ...] = (init_settings, env_settings)
        if config := os.environ.get(f"{ENV_PREFIX}CONFIG"):
            if not Path(config).is_file():
                raise StartError(f"FIRSTWORD_CONFIG names {config}, which is not a file.")
            sources += (YamlConfigSettingsSource(settings_cls, yaml_file=config),)
        return sources


def _check_adapter_names(adapters: Iterable[AdapterSetting], taken: Iterable[str | None]) -> None:
    """Raises pydantic's error, with the position, where a name is taken already."""
    seen = set(taken)
    for position, adapter in enumerate(adapters, start=1):
        if adapter.name in seen:
            raise PydanticCustomError("name_taken", "the name of adapter {position} is taken", {"position": position})
        seen.add(adapter.name)


def load_settings() -> Settings:
    """Read environment and file. Raises `StartError` naming each wrong setting, never its value: it may be a key."""
    try:
        return Settings()
    except StartError:
        raise
    except Exception as error:
        raise StartError(_explain(error)) from None


def adapters_file(environ: Mapping[str, str]) -> Path | None:
    """The file whose `adapters` are followed while we serve; None without one, or where the environment's list wins."""
    given = {name.upper(): value for name, value in environ.items()}
    config = given.get(f"{ENV_PREFIX}CONFIG")
    return Path(config) if config and f"{ENV_PREFIX}ADAPTERS" not in given else None


def read_adapters(file: Path) -> list[AdapterSetting]:
    """The `adapters` of a settings file, and nothing else of it. Raises `StartError`, never quoting what stands there.

    A file without any content is none, perhaps half written: who wants no adapters says `adapters: []`.
    """
    try:
        told = yaml.safe_load(file.read_text(encoding="utf-8"))
        adapters = _AdapterList(adapters=told.get("adapters", [])).adapters
        _check_adapter_names(adapters, ())
    except Exception as error:
        raise StartError(_explain(error)) from None
    return adapters


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Sentences about `FIRSTWORD_*` variables that name no setting: most often a typing error."""
    known = {name.upper() for name in Settings.model_fields}
    given = {name.removeprefix(ENV_PREFIX) for name in environ if name.startswith(ENV_PREFIX) and name not in _NOT_SETTINGS}
    # Compared without the prefix: with it, any two names are near.
    return [
        f"{ENV_PREFIX}{name} is not a setting and has no effect{did_you_mean(name, known, prefix=ENV_PREFIX)}"
        for name in sorted(given - known)
    ]


class _AdapterList(BaseModel):
    adapters: list[AdapterSetting]


def _explain(error: Exception) -> str:
    """Never a value, nor a parser's own words: they can quote what stands there."""
    if isinstance(error, ValidationError):
        return "\n".join(
            f"{ENV_PREFIX}{_name(item['loc'])}: {_reason(item['type'], item['loc'], item['msg'])}" for item in error.errors()
        )
    if isinstance(error, PydanticCustomError):
        return f"{ENV_PREFIX}ADAPTERS: {error.message()}"
    if isinstance(error, SettingsError) and (field := re.search(r'field "(\w+)"', str(error))):
        return f"{ENV_PREFIX}{field[1].upper()}: this is not valid JSON."
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
        return f"FIRSTWORD_CONFIG: this is not valid YAML, at line {mark.line + 1}, column {mark.column + 1}."
    return f"The settings cannot be read ({type(error).__name__}); FIRSTWORD_CONFIG must name a YAML file of `setting: value`."


def _name(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc).upper()


def _reason(kind: str, loc: tuple[int | str, ...], message: str) -> str:
    if kind == "extra_forbidden" and len(loc) == 1:
        return f"there is no such setting{did_you_mean(str(loc[0]), Settings.model_fields)}"
    return message
