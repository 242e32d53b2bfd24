"""All settings, with their types and defaults.

A setting comes from the environment variable `FIRSTWORD_<NAME>`, else from the YAML file that `FIRSTWORD_CONFIG` names, else
from the default here. `docs/settings.md` lists the settings; a test keeps the two equal.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
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

_DEFAULT_MAX_ADAPTERS = 8

# Variables of the project's other programs. The service does not read them as settings.
_NOT_SETTINGS = frozenset({"FIRSTWORD_CONFIG", "FIRSTWORD_API_KEY"})


def _yaml_word(value: object) -> object:
    """YAML reads the words `on` and `off` as true and false where they have no quotes."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class AdapterSetting(BaseModel):
    """A LoRA adapter to serve together with the model."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(min_length=1)
    path: str = Field(min_length=1)
    """A local folder with adapter_config.json and adapter_model.safetensors."""
    thinking: Annotated[Literal["off", "auto", "on"], BeforeValidator(_yaml_word)] | None = None
    """As the setting `thinking`, for turns with this adapter. None means the setting's value."""
    template_kwargs: dict[str, Any] = {}
    """Variables for the chat template, in addition to the setting `template_kwargs`."""
    chat_template: Path | None = None
    """A file with a chat template for this adapter. None means the model's."""


class SystemPrompt(BaseModel):
    """The beginning of an agent's prompts. It is computed into the prefix cache before the calls come."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    system: str = Field(min_length=1)
    """The system message, or the part at its beginning that all calls share."""
    tools: list[dict[str, Any]] = []
    """The tools of the agent's requests. Chat templates render them next to the system message."""
    tenants: list[str] | None = None
    """The tenants that use the prompt, if each tenant has its own prefix cache. None means all tenants."""
    model: str | None = None
    """Name of the adapter that computes the prompt. None means the model itself."""

    @model_validator(mode="after")
    def _is_json(self) -> "SystemPrompt":
        """Refuse values that YAML allows but a JSON request cannot contain."""
        try:
            orjson.dumps(self.model_dump())
        except TypeError:
            raise PydanticCustomError("not_json", "it must be JSON-serializable") from None
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

    host: str = Field(
        default="127.0.0.1",
        description="The address that the service binds. Use 0.0.0.0 to accept connections from other machines.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="The port that the service binds. 0 takes a free port.")
    model: str = Field(
        default=EMBEDDED_MODEL,
        min_length=1,
        description=(
            "`embedded` (SmolLM2-135M-Instruct, which is installed with Firstword), a Hugging Face model ID, or a local folder."
        ),
    )
    served_model_name: str | None = Field(
        default=None, min_length=1, description="The model ID that callers use. By default, the model's own name."
    )
    api_keys: SecretStr | None = Field(
        default=None,
        description="API keys as `tenant=key,tenant=key`. A tenant may have several keys. A key is any text without a comma.",
    )
    api_keys_file: Path | None = Field(
        default=None,
        description=(
            "A YAML file with hashed keys and tenants' limits, "
            "read again when it changes. It may be used together with `api_keys`."
        ),
    )
    engine: Literal["vllm", "scripted"] = Field(
        default="vllm",
        description=(
            "`vllm`, or `scripted`, which answers from a script without a model. Use `scripted` for tests and dry runs only."
        ),
    )
    engine_args: dict[str, Any] = Field(
        default_factory=dict,
        description=(
            "A JSON object of vLLM `AsyncEngineArgs` fields (with `scripted`: "
            "`ScriptedArgs` fields), which override our defaults."
        ),
    )
    nodes: int = Field(
        default=1, ge=1, description="Number of nodes in one replica: the leader, and nodes that run `firstword worker`."
    )
    node_rank: int = Field(
        default=0, ge=0, description="Rank of this node in its replica. 0 is the leader, which runs `firstword serve`."
    )
    master_address: str | None = Field(
        default=None, min_length=1, description="Host name or IP address at which every node of the replica reaches the leader."
    )
    master_port: int = Field(
        default=29501,
        ge=1,
        le=65534,
        description="The leader's port at which the nodes of the replica meet. The next port is used too.",
    )
    model_aliases: list[str] = Field(
        default_factory=list, description="A JSON list of additional names that callers may use for the model."
    )
    adapters: list[AdapterSetting] = Field(
        default_factory=list,
        description=(
            "A JSON list of LoRA adapters, each `{name, path}` and optionally `thinking`, `template_kwargs`, `chat_template`. "
            "In the settings file, the list is read again when it changes."
        ),
    )
    max_adapters: int | None = Field(
        default=None,
        ge=0,
        description=(
            "Adapters loaded at once. By default 0 if `adapters` is empty at the start, "
            "else 8, or their number if that is greater."
        ),
    )
    tool_parser: str = Field(
        default="auto",
        description=(
            "Format of tool calls, by the name of vLLM's parser. `auto` finds it by the chat template and the vocabulary. `none` "
            "leaves calls in the text."
        ),
    )
    reasoning_parser: str = Field(
        default="auto",
        description=(
            "Format of thoughts, by the name of vLLM's parser. `auto` finds it by the chat template. `none` leaves thoughts in "
            "the text, where they are spoken."
        ),
    )
    allow_unproven: bool = Field(
        default=False,
        description=(
            "Whether to serve a model whose format of tool calls or thoughts is not proven (docs/models.md). It is then logged "
            "and counted in `firstword_unproven_format`."
        ),
    )
    thinking: Annotated[Literal["off", "auto", "on"], BeforeValidator(_yaml_word)] = Field(
        default="off",
        description=(
            "Whether the model thinks before it answers. A caller waits for the first word, so the default is `off`. `auto` "
            "leaves it to the chat template. A request can override it with `reasoning_effort` or `chat_template_kwargs`."
        ),
    )
    template_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="A JSON object of variables for the chat template, for each turn. A request's `chat_template_kwargs` win.",
    )
    chat_template: Path | None = Field(
        default=None, description="A file with a Jinja chat template. By default the model's own template is used."
    )
    model_sampling: bool = Field(
        default=True,
        description=(
            "Whether a request that sets no `temperature`, `top_p` and the like gets the values of the model's own "
            "`generation_config.json`. `false` means OpenAI's defaults."
        ),
    )
    cache_isolation: Annotated[Literal["auto", "on", "off"], BeforeValidator(_yaml_word)] = Field(
        default="auto",
        description=(
            "Whether each tenant has its own prefix cache. `auto` means `on` with several tenants or with a key file, else `off`."
        ),
    )
    max_turns: int = Field(
        default=256,
        ge=1,
        description="Maximum number of turns in the service at once, including waiting turns, whatever the engine's capacity is.",
    )
    max_connections: int = Field(
        default=4096,
        ge=16,
        description=(
            "Maximum number of open connections, within the open-files limit. One more closes the one that was idle longest."
        ),
    )
    max_body_bytes: int = Field(
        default=4 * 2**20, ge=1024, description="Maximum size of a request body in bytes. A larger body gets 413."
    )
    max_messages: int = Field(
        default=2048, ge=1, description="Maximum number of messages in a request. A request with more gets 400."
    )
    max_choices: int = Field(default=8, ge=1, description="Maximum value of `n`. A larger value gets 400.")
    body_timeout_s: float = Field(
        default=10.0, gt=0, description="Seconds within which a request body must arrive. A slower one gets 408."
    )
    send_timeout_s: float = Field(
        default=30.0, gt=0, description="Seconds after which a client that does not read is disconnected and its turn ends."
    )
    ttft_budget_s: float = Field(
        default=5.0,
        gt=0,
        description=(
            "Seconds to the first token that a turn may take. It is refused if it would take longer, and `late` if it did."
        ),
    )
    ttft_budget_max_s: float = Field(
        default=30.0,
        gt=0,
        description="Maximum TTFT budget in seconds that a tenant or a request (`x-firstword-ttft-budget`) can set.",
    )
    tpot_bound_s: float = Field(
        default=0.25, gt=0, description="Maximum seconds per output token of running turns. It limits how many turns run at once."
    )
    frame_window_s: float = Field(
        default=0.04,
        ge=0,
        le=1,
        description=(
            "Maximum seconds for which, under load, "
            "a stream's text is collected into one frame. 0 sends each token in its own frame."
        ),
    )
    clients_may_retry: bool = Field(
        default=False,
        description="Whether clients may retry a 503. `false` sends `x-should-retry: false`, which the `openai` client obeys.",
    )
    engine_stall_s: float = Field(
        default=60.0,
        gt=0,
        description=(
            "Kill the engine and exit if turns are pending and the engine has "
            "produced nothing for this many seconds beyond its longest expected step."
        ),
    )
    keep_alive_s: int = Field(
        default=75,
        ge=1,
        description="Seconds after which an idle connection is closed. Set it above the idle timeout of the proxy in front.",
    )
    lameduck_s: float = Field(
        default=20.0,
        ge=0,
        description=(
            "Seconds after SIGTERM in which the service is not ready but still serves new turns, so that proxies can notice."
        ),
    )
    drain_timeout_s: float = Field(
        default=30.0, ge=0, description="Seconds after the lameduck in which running turns may finish. Then they are cut off."
    )
    warmup_prompts: list[str] = Field(
        default=["Hello! Who are you?"],
        min_length=1,
        description="A JSON list of user messages that the service answers before it is ready.",
    )
    system_prompts: list[SystemPrompt] = Field(
        default_factory=list,
        description=(
            "A JSON list of `{system, tools, tenants, model}`. "
            "These prompts are kept in the prefix cache to shorten the TTFT of new calls."
        ),
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="A separate port for `/metrics`, served by its own threads. 0 takes a free port.",
    )
    metrics_on_main_port: bool = Field(default=True, description="Whether the main port also answers `/metrics`, without a key.")
    metrics_max_tenants: int = Field(
        default=50,
        ge=1,
        description="Maximum number of tenants with their own label in the metrics. Further tenants are counted as `other`.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        min_length=1,
        description="Address of the OpenTelemetry collector that receives traces. Without it, no traces are sent.",
    )
    otlp_protocol: Literal["grpc", "http/protobuf"] = Field(
        default="grpc",
        description="Protocol of the collector. With `http/protobuf`, `/v1/traces` is added to an endpoint that has no path.",
    )
    trace_sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of turns that are traced, from 0 to 1, among those whose caller sends no trace context.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="`json` for machines, `console` for people. `auto` means `console` on a terminal, else `json`.",
    )

    @field_validator("otlp_endpoint", mode="before")
    @classmethod
    def _empty_is_unset(cls, endpoint: Any) -> Any:
        """Treat an empty value as unset: templates of manifests write an empty value if none is given."""
        return endpoint or None

    @field_validator("metrics_port")
    @classmethod
    def _metrics_port_is_free(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port and port == info.data.get("port"):
            raise PydanticCustomError(
                "port_taken", "it must differ from FIRSTWORD_PORT; leave it unset to serve /metrics on that port", {}
            )
        return port

    @field_validator("metrics_on_main_port")
    @classmethod
    def _metrics_are_somewhere(cls, is_on: bool, info: ValidationInfo) -> bool:
        if not is_on and info.data.get("metrics_port") is None:
            raise PydanticCustomError(
                "no_metrics", "no port serves the metrics; set FIRSTWORD_METRICS_PORT or set this to true", {}
            )
        return is_on

    @property
    def effective_max_adapters(self) -> int:
        """Number of adapters that the engine can load at once: `max_adapters`, or its default."""
        if self.max_adapters is not None:
            return self.max_adapters
        return max(_DEFAULT_MAX_ADAPTERS, len(self.adapters)) if self.adapters else 0

    @field_validator("adapters")
    @classmethod
    def _adapter_names_are_free(cls, adapters: list[AdapterSetting], info: ValidationInfo) -> list[AdapterSetting]:
        taken = {info.data.get("served_model_name"), *info.data.get("model_aliases", ())}
        _check_adapter_names(adapters, taken)
        return adapters

    @field_validator("max_adapters")
    @classmethod
    def _adapters_fit(cls, limit: int | None, info: ValidationInfo) -> int | None:
        if limit is not None and limit < (given := len(info.data.get("adapters", ()))):
            raise PydanticCustomError("too_few", "{given} adapters are configured; set it to at least {given}", {"given": given})
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
    """Raises `PydanticCustomError`, with the adapter's position, if a name is used twice."""
    seen = set(taken)
    for position, adapter in enumerate(adapters, start=1):
        if adapter.name in seen:
            raise PydanticCustomError("name_taken", "the name of adapter {position} is already in use", {"position": position})
        seen.add(adapter.name)


def load_settings() -> Settings:
    """Read the environment and the settings file.

    Raises `StartError`, which names each wrong setting but never its value, as the value may be an API key.
    """
    try:
        return Settings()
    except StartError:
        raise
    except Exception as error:
        raise StartError(_explain(error)) from None


def adapters_file(environ: Mapping[str, str]) -> Path | None:
    """Return the settings file whose `adapters` are reloaded at run time.

    None means that there is no settings file, or that the environment variable overrides its list.
    """
    given = {name.upper(): value for name, value in environ.items()}
    config = given.get(f"{ENV_PREFIX}CONFIG")
    return Path(config) if config and f"{ENV_PREFIX}ADAPTERS" not in given else None


def read_adapters(file: Path) -> list[AdapterSetting]:
    """Read the `adapters` of a settings file, and no other setting.

    Raises `StartError`, which never quotes the file. An empty file is an error too, as it may be half written; use
    `adapters: []` for no adapters.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        adapters = _AdapterList(adapters=content.get("adapters", [])).adapters
        _check_adapter_names(adapters, ())
    except Exception as error:
        raise StartError(_explain(error)) from None
    return adapters


def read_template(file: Path | None) -> str | None:
    """Return the source of a chat template. None without a file. Raises `StartError` if it cannot be read."""
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise StartError(f"FIRSTWORD_CHAT_TEMPLATE: {file} cannot be read: {reason}.") from None


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Return a sentence for each `FIRSTWORD_*` variable that is not a setting, which is most often a typing error."""
    known = {name.upper() for name in Settings.model_fields}
    given = {name.removeprefix(ENV_PREFIX) for name in environ if name.startswith(ENV_PREFIX) and name not in _NOT_SETTINGS}
    # The prefix is left out: with it, any two names would be similar.
    return [
        f"{ENV_PREFIX}{name} is not a setting and has no effect{did_you_mean(name, known, prefix=ENV_PREFIX)}"
        for name in sorted(given - known)
    ]


class _AdapterList(BaseModel):
    adapters: list[AdapterSetting]


def _explain(error: Exception) -> str:
    """Explain the error without a value and without a parser's own message, which can quote the file."""
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
