"""What the reports of `firstword check` and `firstword preflight` have in common."""

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

Outcome = Literal["pass", "warn", "fail", "skipped"]


class Document(BaseModel):
    """A part of a report. Unknown fields are errors, so a report that was read back is whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Counts(Document):
    """How many checks ended in each way."""

    passed: int
    warned: int
    failed: int
    skipped: int

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        seen = list(outcomes)
        return cls(passed=seen.count("pass"), warned=seen.count("warn"), failed=seen.count("fail"), skipped=seen.count("skipped"))
