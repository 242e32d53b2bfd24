"""Every setting, typed: environment variables `FIRSTWORD_*`, over the same keys in the YAML file named by
`FIRSTWORD_CONFIG`, over the defaults here. `docs/settings.md` lists them; a test keeps the two equal.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from service.errors import StartError

ENV_PREFIX = "FIRSTWORD_"
EMBEDDED_MODEL = "embedded"

# Read by others of the project's programs, not by the service.
_NOT_SETTINGS = frozenset({"FIRSTWORD_CONFIG", "FIRSTWORD_API_KEY"})


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
        default=None, description="A YAML file of hashed keys, written by `firstword keys add`. May be used beside `api_keys`."
    )
    engine: Literal["vllm", "scripted"] = Field(
        default="vllm", description="`scripted` answers from a script, without a model: for tests and dry runs only."
    )
    engine_args: dict[str, Any] = Field(
        default_factory=dict,
        description="A JSON object of vLLM `AsyncEngineArgs` fields (for `scripted`: `ScriptedArgs`), over our defaults.",
    )
    max_turns: int = Field(default=256, ge=1, description="Turns in progress at once; one more is refused with 503.")
    max_body_bytes: int = Field(default=4 * 2**20, ge=1024, description="Bytes of a request body; more is refused with 413.")
    max_messages: int = Field(default=2048, ge=1, description="Messages of one request; more are refused with 400.")
    max_choices: int = Field(default=8, ge=1, description="The largest `n`; more is refused with 400.")
    body_timeout_s: float = Field(
        default=10.0, gt=0, description="A request body that takes longer to arrive is refused with 408."
    )
    send_timeout_s: float = Field(
        default=30.0, gt=0, description="A client that reads nothing for so long is dropped, and its turn ended."
    )
    ttft_budget_s: float = Field(default=5.0, gt=0, description="A turn whose first word comes later counts as `late`.")
    drain_timeout_s: float = Field(default=30.0, ge=0, description="After SIGTERM, running turns may take this long to finish.")
    warmup_prompts: list[str] = Field(
        default=["Hello! Who are you?"],
        min_length=1,
        description="A JSON list of user messages answered before the service is ready.",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="`json` for machines, `console` for people; `auto`: console on a terminal."
    )

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


def load_settings() -> Settings:
    """Read environment and file. Raises `StartError` naming each wrong setting, never its value: it may be a key."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{ENV_PREFIX}{_name(item['loc'])}: {_reason(item['type'], item['loc'], item['msg'])}" for item in error.errors()
        ]
        raise StartError("\n".join(lines)) from None
    except StartError:
        raise
    except Exception as error:
        raise StartError(_unreadable(error)) from None


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Sentences about `FIRSTWORD_*` variables that name no setting: most often a typing error."""
    known = {name.upper() for name in Settings.model_fields}
    given = {name.removeprefix(ENV_PREFIX) for name in environ if name.startswith(ENV_PREFIX) and name not in _NOT_SETTINGS}
    # Compared without the prefix: with it, any two names are near.
    return [
        f"{ENV_PREFIX}{name} is not a setting and has no effect{did_you_mean(name, known, prefix=ENV_PREFIX)}"
        for name in sorted(given - known)
    ]


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """`; did you mean X?` with the nearest known name, or a full stop where none is near."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {prefix}{nearest[0]}?" if nearest else "."


def _unreadable(error: Exception) -> str:
    """Where a source cannot be parsed at all. Never the parser's own words: they can quote what stands there."""
    if isinstance(error, SettingsError) and (field := re.search(r'field "(\w+)"', str(error))):
        return f"{ENV_PREFIX}{field[1].upper()}: this is not valid JSON."
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
        return f"FIRSTWORD_CONFIG: this is not valid YAML, at line {mark.line + 1}, column {mark.column + 1}."
    return f"The settings cannot be read ({type(error).__name__}); FIRSTWORD_CONFIG must name a YAML file of `setting: value`."


def _name(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc).upper()


def _reason(kind: str, loc: tuple[int | str, ...], message: str) -> str:
    if kind == "extra_forbidden":
        return f"there is no such setting{did_you_mean(str(loc[0]), Settings.model_fields)}"
    return message
