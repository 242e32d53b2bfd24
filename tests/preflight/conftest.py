import pytest

from tests.preflight.looking import Looker


@pytest.fixture
def looked(tmp_path_factory: pytest.TempPathFactory) -> Looker:
    return Looker(tmp_path_factory.mktemp("looked"))
