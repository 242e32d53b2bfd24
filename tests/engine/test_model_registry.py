"""The model registry: which names are served, and what each of them means."""

import pytest

from service.domain import Adapter
from service.engine.model_registry import ModelRegistry
from service.errors import ModelNotFound
from tests.support.factories import make_card

ADAPTER = Adapter("support-bot", "/adapters/support-bot", 1)


def make_registry(*aliases: str) -> ModelRegistry:
    model_registry = ModelRegistry(make_card(), aliases)
    model_registry.add(ADAPTER)
    return model_registry


@pytest.mark.parametrize(
    ("aliases", "names"),
    [((), ("m",)), (("fast", "voice"), ("m", "fast", "voice")), (("m", "fast"), ("m", "fast"))],
)
def test_the_models_own_name_comes_first_and_once(aliases: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert tuple(make_registry(*aliases).base_names) == names


@pytest.mark.parametrize(("name", "adapter"), [("m", None), ("fast", None), ("support-bot", ADAPTER)])
def test_a_name_means_the_model_or_an_adapter(name: str, adapter: Adapter | None) -> None:
    assert make_registry("fast").resolve(name) == adapter


@pytest.mark.parametrize("name", ["", "M", "m ", "support", "Support-Bot", "/adapters/support-bot", "1"])
def test_another_name_means_nothing(name: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        make_registry("fast").resolve(name)
    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_an_adapter_comes_and_goes() -> None:
    model_registry = make_registry()
    other = Adapter("sales-bot", "/adapters/sales-bot", 2)
    model_registry.add(other)
    assert list(model_registry.adapters) == [ADAPTER, other]
    model_registry.remove("support-bot")
    model_registry.remove("support-bot")
    assert list(model_registry.adapters) == [other]
    with pytest.raises(ModelNotFound):
        model_registry.resolve("support-bot")


def test_an_adapter_of_the_same_name_takes_the_place_of_the_former() -> None:
    model_registry = make_registry()
    newer = Adapter("support-bot", "/adapters/support-bot-2", 2)
    model_registry.add(newer)
    assert model_registry.resolve("support-bot") == newer
    assert list(model_registry.adapters) == [newer]


def test_the_model_cannot_be_hidden_by_an_adapter_of_its_name() -> None:
    model_registry = make_registry("fast")
    for name in ("m", "fast"):
        model_registry.add(Adapter(name, "/adapters/x", 3))
        assert model_registry.resolve(name) is None


def test_an_adapter_is_used_until_its_last_turn_has_ended() -> None:
    model_registry = make_registry()
    with model_registry.using(ADAPTER):
        with pytest.raises(ZeroDivisionError), model_registry.using(ADAPTER):
            model_registry.remove("support-bot")
            _ = 1 / 0
        assert model_registry.is_used(ADAPTER)
    assert not model_registry.is_used(ADAPTER)


def test_a_turn_without_an_adapter_uses_none() -> None:
    model_registry = make_registry()
    with model_registry.using(None):
        assert not model_registry.is_used(ADAPTER)
