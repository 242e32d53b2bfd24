"""The parts of a record that a report needs, and their types. The error for a damaged record names the field."""

from collections.abc import Iterator
from reprlib import repr as shortened
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Number = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Each = Annotated[list[float], Field(min_length=2, max_length=2)]
"""A pair: seconds since the start of the run, and the value at that time."""


class WrongRecord(Exception):
    """The file is not a record, has another version, or is damaged."""


class _Part(BaseModel):
    """Part of a record. Other fields are ignored; loadtest/calls/record.py lists all."""

    model_config = ConfigDict(strict=True)


class _Settings(_Part):
    host: str
    model: str
    ttft_budget_s: Annotated[float, Field(gt=0)]


class _Environment(_Part):
    date: str


class _Stage(_Part):
    begin_s: Number
    end_s: Annotated[float, Field(gt=0)]
    rate: Number


class _Schedule(_Part):
    stages: dict[str, list[_Stage]]
    changes: list[Any]


class _Validity(_Part):
    is_valid: bool
    doubts: list[str]


class _Table(_Part):
    columns: list[str]
    rows: list[list[Any]]
    seen: Count


class _Tally(_Part):
    columns: list[str]
    rows: list[list[Any]]


class _Counts(_Part):
    turns: _Tally
    calls: _Tally


class _Gaps(_Part):
    edges_s: list[float]
    counts: list[Count]
    count: Count


class _Watch(_Part):
    cpu: list[Each]
    in_progress: list[Each]
    blocked_s: Number
    watched_s: Number
    worst_lag_s: Number


class _Server(_Part):
    server: dict[str, float]
    client: dict[str, float]
    disagreements: list[str]
    remarks: list[str] = []


class _Record(_Part):
    scenario: str
    settings: _Settings
    environment: _Environment
    schedule: _Schedule
    run_s: Number
    validity: _Validity
    summary: dict[str, Any]
    turns: _Table
    calls: _Table
    counts: _Counts | None = None
    """Required only if the rows are a sample."""
    itl: _Gaps
    client: dict[str, _Watch]
    server: _Server | None


class _Turn(_Part):
    call: int
    tenant: str
    agent: str
    position: int
    due_s: float
    late_s: float
    outcome: str
    on_time: int
    ttft_s: float | None
    first_sentence_s: float | None
    duration_s: float | None
    tpot_s: float | None
    itl_max_s: float | None
    completion_tokens: int
    reason: str | None


class _Call(_Part):
    call: int
    tenant: str
    due_s: float
    outcome: str
    turns: int


class _TurnKind(_Part):
    tenant: str
    agent: str
    standing: str
    reason: str
    seconds: list[int]
    counts: list[Count]


class _CallKind(_Part):
    tenant: str
    agent: str
    outcome: str
    seconds: list[int]
    counts: list[Count]


_ROWS: dict[str, type[_Part]] = {"turns": _Turn, "calls": _Call}
_KINDS: dict[str, type[_Part]] = {"turns": _TurnKind, "calls": _CallKind}


def check(raw: dict[str, Any]) -> None:
    """Check a record. Raises `WrongRecord`, which names the first missing or wrong field."""
    _check(_Record, raw)
    is_sample = any(raw[name]["seen"] > len(raw[name]["rows"]) for name in _ROWS)
    if is_sample and not raw.get("counts"):
        raise WrongRecord("counts is missing.")
    for name, row in _ROWS.items():
        for place, reported in enumerate(rows_of(raw[name], name)):
            _check(row, reported, f"{name}.rows.{place}")
    for name, kind in _KINDS.items() if raw.get("counts") else ():
        for place, reported in enumerate(rows_of(raw["counts"][name], f"counts.{name}")):
            _check(kind, reported, f"counts.{name}.rows.{place}")


def rows_of(table: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Yield each row by its columns. Raises `WrongRecord` if its number of values is not the number of columns."""
    columns = table["columns"]
    for place, row in enumerate(table["rows"]):
        if len(row) != len(columns):
            raise WrongRecord(f"{name}.rows.{place} has {len(row)} values for {len(columns)} columns.")
        yield dict(zip(columns, row, strict=True))


def _check(part: type[_Part], reported: dict[str, Any], under: str = "") -> None:
    try:
        part.model_validate(reported)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
    else:
        return
    field = ".".join(str(step) for step in (under, *problem["loc"]) if step != "")
    if problem["type"] == "missing":
        raise WrongRecord(f"{field} is missing.")
    raise WrongRecord(f"{field}: {problem['msg'][:1].lower()}{problem['msg'][1:]}, given {shortened(problem['input'])}.")
