"""The thresholds of a launch, from a YAML file. It is read strictly, so that a misspelt name is an error and is not ignored."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

DEFAULT_FILE = Path(__file__).resolve().parents[1] / "thresholds.yaml"
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]


class WrongThresholds(Exception):
    """The file cannot be used. The message says what to change."""


class Thresholds(BaseModel):
    """The thresholds. null turns one off. Names carry their units; shares are from 0 to 1."""

    # Strict: "1" and true must not silently become numbers.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    goodput_share_min: Share | None = Field(0.95, description="on time / (on time + late + refused for capacity + failed)")
    ttft_p50_s_max: Seconds | None = Field(0.6, description="TTFT, 50th percentile")
    ttft_p95_s_max: Seconds | None = Field(1.0, description="TTFT, 95th percentile")
    ttft_p99_s_max: Seconds | None = Field(2.0, description="TTFT, 99th percentile")
    first_sentence_p95_s_max: Seconds | None = Field(
        2.0, description="time to the end of the first sentence, when speech can start; 95th percentile"
    )
    tpot_p99_s_max: Seconds | None = Field(
        0.25, description="TPOT, 99th percentile: the answer must be faster than the voice that speaks it"
    )
    spoiled_calls_share_max: Share | None = Field(
        0.1, description="calls with a late, failed or refused turn, as a share of the calls whose first turn was admitted"
    )
    failed_share_max: Share | None = Field(0.005, description="failed turns, as a share of all turns")
    refused_share_max: Share | None = Field(0.02, description="refused turns, for any reason, as a share of all turns")
    recovery_s_max: Seconds | None = Field(
        60.0, description="spike only: time from its end until goodput_share_min is met again, for the rest of the run"
    )
    calls_at_once_min: Annotated[float, Field(gt=0)] | None = Field(
        None, description="ramp only: calls at once that must be carried; null: no requirement, and the report says how many"
    )
    turns_min: Annotated[int, Field(ge=1)] = Field(
        60,
        description="judged turns; fewer make the run invalid; 60 without a bad one show 95 % good with 95 % confidence",
    )
    step_turns_min: Annotated[int, Field(ge=1)] = Field(
        20, description="ramp only: turns of a step; a step with fewer does not count"
    )


def load(path: Path) -> Thresholds:
    """Read the thresholds. Raises `WrongThresholds` if the file cannot be used."""
    try:
        text = path.read_text(encoding="utf-8")
        twice, reported = _names_told_twice(text), yaml.safe_load(text)
    except OSError as error:
        raise WrongThresholds(f"{path} cannot be read: {error.strerror}.") from None
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1}: {error.problem})" if error.problem_mark else ""
        raise WrongThresholds(f"{path} is not valid YAML{line}.") from None
    except UnicodeDecodeError as error:
        line = f"line {error.object[: error.start].count(10) + 1}: not UTF-8"
        raise WrongThresholds(f"{path} is not valid YAML ({line}).") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that does not exist.
        raise WrongThresholds(f"{path} is not valid YAML ({_first_line_of(error)}).") from None
    if twice:
        raise WrongThresholds(f"{path} cannot be used:" + "".join(f"\n  {problem}" for problem in twice))
    if not isinstance(reported, dict | None):
        raise WrongThresholds(f"{path} must contain names and values, such as `ttft_p95_s_max: 1.0`.")
    try:
        return Thresholds.model_validate(reported or {})
    except ValidationError as error:
        problems = "".join(f"\n  {_problem(problem)}" for problem in error.errors())
        raise WrongThresholds(f"{path} cannot be used:{problems}") from None


def _names_told_twice(text: str) -> list[str]:
    """Problems with names that are set twice. YAML's own reader would silently take the last value."""
    root = yaml.compose(text, yaml.SafeLoader)
    found: dict[str, list[str]] = {}
    for name, value in root.value if isinstance(root, yaml.MappingNode) else ():
        found.setdefault(str(name.value), []).append(f"{value.value} in line {name.start_mark.line + 1}")
    return [f"{name} is set more than once: {', '.join(values)}" for name, values in found.items() if len(values) > 1]


def _first_line_of(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return str(error).partition("\n")[0]


def _problem(problem: Any) -> str:
    name = str(problem["loc"][0])
    if name in Thresholds.model_fields:
        return f"{name} must be {_allowed(name)}, given {problem['input']!r}"
    if near := get_close_matches(name, Thresholds.model_fields, n=1, cutoff=0.5):
        return f"{name} is not a threshold. Did you mean {near[0]}?"
    return f"{name} is not a threshold. Valid names are: {', '.join(Thresholds.model_fields)}"


def _allowed(name: str) -> str:
    if name.endswith("turns_min"):
        return "a whole number of 1 or more"
    return "a number from 0 to 1, or null" if "_share_" in name else "a number above 0, or null"
