"""Every check, in the order in which they run: what may leave the endpoint worse comes last."""

from service.check import checks_access, checks_answer, checks_option, checks_request, checks_stream, checks_time
from service.check.outcome import Check

CHECKS: tuple[Check, ...] = (
    *checks_access.CHECKS,
    *checks_answer.RESPONSE_CHECKS,
    *checks_stream.CHECKS,
    checks_time.incremental,
    *checks_request.CHECKS,
    *checks_option.CHECKS,
    *checks_answer.ERROR_CHECKS,
    *checks_time.CHECKS,
)
NEED_NO_ANSWER = frozenset({"path.v1", "path.bare"})
"""All others ask by the way that was found."""
