"""Types that the reports of `firstword check` and `firstword preflight` share."""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

Outcome = Literal["pass", "warn", "fail", "skipped"]


class Document(BaseModel):
    """A part of a report. An unknown field is an error, so that reading a report back loses nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Counts(Document):
    """Number of checks with each outcome."""

    passed: int
    warned: int
    failed: int
    skipped: int

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        seen = list(outcomes)
        return cls(passed=seen.count("pass"), warned=seen.count("warn"), failed=seen.count("fail"), skipped=seen.count("skipped"))
