"""How long a turn's caller will wait for the first word."""

from service.domain import TenantPolicy
from service.errors import InvalidRequest
from service.settings import Settings

BUDGET_HEADER = "x-firstword-ttft-budget"
"""A request's own budget, in seconds."""


def ttft_budget_s(asked: str | None, policy: TenantPolicy, settings: Settings) -> float:
    """The request's own, else its tenant's, else the service's; the first two never above `ttft_budget_max_s`, where that is
    not below the service's own. Raises `InvalidRequest`.
    """
    if asked is None:
        budget_s = policy.ttft_budget_s if policy.ttft_budget_s is not None else settings.ttft_budget_s
    else:
        budget_s = _parsed(asked)
    return min(budget_s, max(settings.ttft_budget_max_s, settings.ttft_budget_s))


def _parsed(asked: str) -> float:
    try:
        budget_s = float(asked) if asked.isascii() and len(asked) <= 20 else 0.0
    except ValueError:
        budget_s = 0.0
    if not 0 < budget_s < float("inf"):
        raise InvalidRequest(f"{BUDGET_HEADER} must be seconds above 0.", param=BUDGET_HEADER, code="invalid_value")
    return budget_s
