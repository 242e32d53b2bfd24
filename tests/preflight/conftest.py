import pytest

from tests.preflight.looking import Looker


@pytest.fixture
def looked(tmp_path_factory: pytest.TempPathFactory) -> Looker:
    return Looker(tmp_path_factory.mktemp("looked"))


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the pauses between tries of a request that the API rejects as overloaded."""
    monkeypatch.setattr("service.preflight.cluster.client._PAUSES_S", (0.0, 0.0, 0.0))
