"""Every check, in the order in which they run. Checks that may disturb the endpoint come last."""

from service.check.checks import access, answer, option, request, stream, time
from service.check.checks.definition import Check

CHECKS: tuple[Check, ...] = (
    *access.CHECKS,
    *answer.RESPONSE_CHECKS,
    *stream.CHECKS,
    time.incremental,
    *request.CHECKS,
    *option.CHECKS,
    *answer.ERROR_CHECKS,
    *time.CHECKS,
)
NEED_NO_ANSWER = frozenset({"path.v1", "path.bare"})
"""The checks that run even if no path answers. All others need the path that discovery found."""
