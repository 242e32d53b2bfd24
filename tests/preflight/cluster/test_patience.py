"""Objects that preflight must be able to read, and its retries."""

from collections.abc import Callable
from typing import Any

import kmock
import pytest

from service.preflight.finding import PreflightError
from tests.preflight.looking import Looker, finding, findings_text, forbid, not_passed
from tests.preflight.right_cluster import KINDS, NODES, right, values


def response(**of: Any) -> Any:
    return kmock.Response(**of)  # type: ignore[attr-defined]


def blind(looked: Looker, setup: Callable[[Any], None]) -> str:
    with pytest.raises(PreflightError) as refused:
        looked(right(), values(), setup=setup)
    return str(refused.value)


def test_without_nodes_and_pods_nothing_can_be_said(looked: Looker) -> None:
    assert "list on nodes and pods; docs/preflight.md" in blind(looked, forbid(*KINDS))
    assert "list on nodes;" in blind(looked, forbid("v1/nodes"))
    assert "list on pods;" in blind(looked, forbid("v1/pods"))


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("status", "words"), [(500, "/api/v1/nodes answered with status 500"), (429, "status 429"), (410, "expired")]
)
def test_nodes_that_do_not_come(status: int, words: str, looked: Looker) -> None:
    def broken(server: Any) -> None:
        server[kmock.resource("v1/nodes")] << status

    assert words in blind(looked, broken)


def nodes_of(*names: str, more: str = "") -> Any:
    """Return a page of nodes with an explicit status, because kmock would keep the one before."""
    documents = {key[2]: document for key, document in right().items() if key[0] == NODES}
    page = {"metadata": {"continue": more}, "items": [documents[name] for name in names]}
    return response(status=200, payload=page)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_who_has_no_time_is_asked_again(status: int, looked: Looker) -> None:
    asked = []

    def busy(server: Any) -> None:
        def answer(request: kmock.Request) -> Any:
            asked.append(request)
            return response(status=status) if len(asked) < 3 else nodes_of("cpu-1", "gpu-1", "gpu-2")

        server["get /api/v1/nodes"] << answer

    report = looked(right(), values(), setup=busy)
    assert not_passed(report) == {}, findings_text(report)
    assert len(asked) == 3


def test_a_list_that_expires_begins_again(looked: Looker) -> None:
    asked = []

    def expiring(server: Any) -> None:
        def answer(request: kmock.Request) -> Any:
            asked.append(request.params.get("continue"))
            if "continue" not in request.params:
                return nodes_of("cpu-1", "gpu-1", more="next")
            return response(status=410) if len(asked) < 3 else nodes_of("gpu-2")

        server["get /api/v1/nodes"] << answer

    report = looked(right(), values(), setup=expiring)
    assert not_passed(report) == {}, findings_text(report)
    assert asked == [None, "next", None, "next"]
    assert finding(report, "pool.nodes").seen.startswith("of 3 nodes")
