"""What a launch asks for: a YAML file, read strictly, so that a misspelt threshold is not a threshold missed."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

DEFAULT_FILE = Path(__file__).resolve().parents[1] / "thresholds.yaml"
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]


class WrongThresholds(Exception):
    """The file cannot be used; the message says what to change."""


class Thresholds(BaseModel):
    """A null is not judged. Names carry their units; shares are from 0 to 1."""

    # Strict: a "1" or a true that became a number would be judged by something that nobody wrote.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    goodput_share_min: Share | None = Field(0.95, description="on time / (on time + late + refused for capacity + failed)")
    ttft_p50_s_max: Seconds | None = Field(0.6, description="time to first word, half of the turns")
    ttft_p95_s_max: Seconds | None = Field(1.0, description="the same, 95 of 100 turns")
    ttft_p99_s_max: Seconds | None = Field(2.0, description="the same, 99 of 100 turns")
    first_sentence_p95_s_max: Seconds | None = Field(
        2.0, description="until the first sentence is whole: what a voice begins with"
    )
    tpot_p99_s_max: Seconds | None = Field(
        0.25, description="time per output token: an answer must outrun the voice that reads it"
    )
    spoiled_calls_share_max: Share | None = Field(
        0.1, description="calls with any turn late, failed or refused, of those that were let in"
    )
    failed_share_max: Share | None = Field(0.005, description="turns that broke, of all")
    refused_share_max: Share | None = Field(0.02, description="turns refused, for whatever reason, of all")
    recovery_s_max: Seconds | None = Field(
        60.0, description="spike only: from its end until turns are on time again, and stay so"
    )
    calls_at_once_min: Annotated[float, Field(gt=0)] | None = Field(
        None, description="ramp only: the load to be carried; null: any load will do, the report says which"
    )
    turns_min: Annotated[int, Field(ge=1)] = Field(
        60, description="fewer judged turns say nothing: invalid; 60 without a bad one show 95 % good, with 95 % confidence"
    )
    step_turns_min: Annotated[int, Field(ge=1)] = Field(20, description="ramp only: fewer turns in a step say nothing about it")


def load(path: Path) -> Thresholds:
    """Raises `WrongThresholds`."""
    try:
        text = path.read_text(encoding="utf-8")
        twice, told = _names_told_twice(text), yaml.safe_load(text)
    except OSError as error:
        raise WrongThresholds(f"{path} cannot be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1}: {error.problem})" if error.problem_mark else ""
        raise WrongThresholds(f"{path} is no YAML{line}.") from None
    except UnicodeDecodeError as error:
        raise WrongThresholds(f"{path} is no YAML (line {error.object[: error.start].count(10) + 1}: not UTF-8).") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that never was.
        raise WrongThresholds(f"{path} is no YAML ({_first_line_of(error)}).") from None
    if twice:
        raise WrongThresholds(f"{path} cannot be used:" + "".join(f"\n  {problem}" for problem in twice))
    if not isinstance(told, dict | None):
        raise WrongThresholds(f"{path} must hold names and values, such as `ttft_p95_s_max: 1.0`.")
    try:
        return Thresholds.model_validate(told or {})
    except ValidationError as error:
        problems = "".join(f"\n  {_problem(problem)}" for problem in error.errors())
        raise WrongThresholds(f"{path} cannot be used:{problems}") from None


def _names_told_twice(text: str) -> list[str]:
    """Of which YAML's own reader would silently take the last."""
    root = yaml.compose(text, yaml.SafeLoader)
    found: dict[str, list[str]] = {}
    for name, value in root.value if isinstance(root, yaml.MappingNode) else ():
        found.setdefault(str(name.value), []).append(f"{value.value} in line {name.start_mark.line + 1}")
    return [f"{name} stands there twice: {', '.join(values)}" for name, values in found.items() if len(values) > 1]


def _first_line_of(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "too deep"
    return str(error).partition("\n")[0]


def _problem(problem: Any) -> str:
    name = str(problem["loc"][0])
    if name in Thresholds.model_fields:
        return f"{name} must be {_allowed(name)}, given {problem['input']!r}"
    if near := get_close_matches(name, Thresholds.model_fields, n=1, cutoff=0.5):
        return f"{name} is no threshold; did you mean {near[0]}?"
    return f"{name} is no threshold; these are: {', '.join(Thresholds.model_fields)}"


def _allowed(name: str) -> str:
    if name.endswith("turns_min"):
        return "a whole number of 1 or more"
    return "a number from 0 to 1, or null" if "_share_" in name else "a number above 0, or null"
