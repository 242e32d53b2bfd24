"""How a check ends where not all is well: an exception that says what was seen."""

from typing import ClassVar

from service.console.report import Outcome


class NotPassed(Exception):
    """What was seen: statuses, JSON paths, times; never what a message says, never a key."""

    outcome: ClassVar[Outcome]


class Failed(NotPassed):
    """A platform could not use the endpoint, or should not."""

    outcome = "fail"


class Warned(NotPassed):
    """It works, but worse than it could."""

    outcome = "warn"


class Skipped(NotPassed):
    """Another check's fault leaves nothing to look at."""

    outcome = "skipped"
