"""The catalogue: which names are served, and what each means."""

import pytest

from service.domain import Adapter
from service.engine.model_registry import Catalogue
from service.errors import ModelNotFound
from tests.support.factories import make_card

ADAPTER = Adapter("support-bot", "/adapters/support-bot", 1)


def make_catalogue(*aliases: str) -> Catalogue:
    catalogue = Catalogue(make_card(), aliases)
    catalogue.add(ADAPTER)
    return catalogue


@pytest.mark.parametrize(
    ("aliases", "names"),
    [((), ("m",)), (("fast", "voice"), ("m", "fast", "voice")), (("m", "fast"), ("m", "fast"))],
)
def test_the_models_own_name_comes_first_and_once(aliases: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert tuple(make_catalogue(*aliases).base_names) == names


@pytest.mark.parametrize(("name", "adapter"), [("m", None), ("fast", None), ("support-bot", ADAPTER)])
def test_a_name_means_the_model_or_an_adapter(name: str, adapter: Adapter | None) -> None:
    assert make_catalogue("fast").resolve(name) == adapter


@pytest.mark.parametrize("name", ["", "M", "m ", "support", "Support-Bot", "/adapters/support-bot", "1"])
def test_another_name_means_nothing(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        make_catalogue("fast").resolve(name)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_an_adapter_comes_and_goes() -> None:
    catalogue = make_catalogue()
    other = Adapter("sales-bot", "/adapters/sales-bot", 2)
    catalogue.add(other)
    assert list(catalogue.adapters) == [ADAPTER, other]
    catalogue.remove("support-bot")
    catalogue.remove("support-bot")
    assert list(catalogue.adapters) == [other]
    with pytest.raises(ModelNotFound):
        catalogue.resolve("support-bot")


def test_an_adapter_of_the_same_name_takes_the_place_of_the_former() -> None:
    catalogue = make_catalogue()
    newer = Adapter("support-bot", "/adapters/support-bot-2", 2)
    catalogue.add(newer)
    assert catalogue.resolve("support-bot") == newer
    assert list(catalogue.adapters) == [newer]


def test_the_model_cannot_be_hidden_by_an_adapter_of_its_name() -> None:
    catalogue = make_catalogue("fast")
    for name in ("m", "fast"):
        catalogue.add(Adapter(name, "/adapters/x", 3))
        assert catalogue.resolve(name) is None


def test_an_adapter_is_used_until_its_last_turn_has_ended() -> None:
    catalogue = make_catalogue()
    with catalogue.using(ADAPTER):
        with pytest.raises(ZeroDivisionError), catalogue.using(ADAPTER):
            catalogue.remove("support-bot")
            _ = 1 / 0
        assert catalogue.is_used(ADAPTER)
    assert not catalogue.is_used(ADAPTER)


def test_a_turn_without_an_adapter_uses_none() -> None:
    catalogue = make_catalogue()
    with catalogue.using(None):
        assert not catalogue.is_used(ADAPTER)
