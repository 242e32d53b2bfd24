import pytest

from tests.preflight.looking import Looker


@pytest.fixture
def looked(tmp_path_factory: pytest.TempPathFactory) -> Looker:
    return Looker(tmp_path_factory.mktemp("looked"))


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries of a request that the API has no time for."""
    monkeypatch.setattr("service.preflight.cluster.client._PAUSES_S", (0.0, 0.0, 0.0))
