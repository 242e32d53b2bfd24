"""Exceptions that end a check with a warning, a failure or a skip. Each says what the check saw."""

from typing import ClassVar

from service.console.report import Outcome


class NotPassed(Exception):
    """Base of the three outcomes. Its text holds statuses, JSON paths and times, but no message content and no key."""

    outcome: ClassVar[Outcome]


class Failed(NotPassed):
    """A platform cannot or should not use the endpoint."""

    outcome = "fail"


class Warned(NotPassed):
    """The endpoint works, but not as well as it could."""

    outcome = "warn"


class Skipped(NotPassed):
    """Another check found a fault that leaves nothing to look at here."""

    outcome = "skipped"
