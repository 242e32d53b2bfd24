"""How long a turn may take to its first word."""

import pytest

from service.admission.ttft_budget import ttft_budget_s
from service.domain import TenantPolicy
from service.errors import InvalidRequest
from service.settings import Settings
from tests.support.service_under_test import scripted_service

SETTINGS = Settings(ttft_budget_s=5, ttft_budget_max_s=8)


@pytest.mark.parametrize(
    ("asked", "tenants", "budget_s"),
    [
        (None, None, 5),
        (None, 2.0, 2),
        ("1.5", 2.0, 1.5),
        ("7", 2.0, 7),
        ("3600", None, 8),
        (None, 100.0, 8),
        ("1e-3", None, 0.001),
    ],
)
def test_the_request_then_the_tenant_then_the_service_says(asked: str | None, tenants: float | None, budget_s: float) -> None:
    assert ttft_budget_s(asked, TenantPolicy(ttft_budget_s=tenants), SETTINGS) == budget_s


def test_the_services_own_budget_may_be_longer_than_what_others_may_ask() -> None:
    settings = Settings(ttft_budget_s=120, ttft_budget_max_s=30)
    assert ttft_budget_s(None, TenantPolicy(), settings) == 120


@pytest.mark.parametrize("asked", ["", "0", "-1", "nan", "inf", "soon", "1 s", "1" * 400, "１"])
def test_a_budget_that_is_none_is_400_and_named(asked: str) -> None:
    with pytest.raises(InvalidRequest, match="x-firstword-ttft-budget") as caught:
        ttft_budget_s(asked, TenantPolicy(), SETTINGS)
    assert caught.value.param == "x-firstword-ttft-budget"


def test_the_header_decides_what_is_late() -> None:
    with scripted_service(engine_args={"prefill_s": 0.1}) as service:
        assert service.post(service.body(), headers={"x-firstword-ttft-budget": "0.05"}).status_code == 200
        assert 'outcome="late",tenant="acme"} 1' in service.get("/metrics").text.replace('model="scripted",', "")
        refused = service.post(service.body(), headers={"x-firstword-ttft-budget": "soon"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "x-firstword-ttft-budget")
