"""The NOTES: settings for the voice platform, and warnings."""

import pytest

from service.engine.models.embedded import MODEL_NAME
from service.preflight.values.pool_values import Pool
from tests.chart.pools import each_pool
from tests.chart.rendering import MINIMAL, Json, merged, render, scenario, values_of


def block(notes: str, pool: str) -> dict[str, str]:
    """Return a pool's settings by their names."""
    lines = notes.partition(f"Pool {pool}\n")[2].partition("\n\n")[0].splitlines()
    return {line[:16].strip(): line[16:].strip() for line in lines}


def model_ids(notes: str, pool: str = "default") -> list[str]:
    return block(notes, pool)["Model ID"].split(", ")


@each_pool
def test_each_pool_is_handed_over(name: str, pool: Pool) -> None:
    settings, values = block(scenario(name).notes, pool.name), values_of(name)
    is_outside = any(values.get(way, {}).get("enabled") for way in ("gateway", "ingress"))
    base = f"https://{pool.hostname}" if is_outside else f"http://voice-firstword-{pool.name}.calls.svc"
    assert settings["Endpoint URL"] == f"{base}/v1/chat/completions"
    assert set(model_ids(scenario(name).notes, pool.name)) >= {*pool.model.aliases, *(adapter.name for adapter in pool.adapters)}
    assert "x-api-key" in settings["Auth method"] and "Authorization: Bearer" in settings["Auth method"]


@pytest.mark.parametrize(
    ("model", "model_id"),
    [
        ({}, MODEL_NAME),
        ({"name": "Qwen/Qwen3-8B"}, "Qwen/Qwen3-8B"),
        ({"name": "Qwen/Qwen3-8B", "servedName": "agent"}, "agent"),
        # The service uses the last part of the path.
        ({"name": "/cache/models/qwen3-8b"}, "qwen3-8b"),
    ],
)
def test_the_model_id_is_the_one_that_the_service_takes(model: Json, model_id: str) -> None:
    assert model_ids(render(merged(MINIMAL, {"poolDefaults": {"model": model}})).notes)[0] == model_id


def test_splits_come_with_their_warning() -> None:
    notes = scenario("canary").notes
    assert "https://trial.voice.example.com/v1/chat/completions" in notes
    assert "turns, not calls" in notes
    assert "turns, not calls" not in scenario("one-gpu").notes


def test_a_model_without_a_revision_is_warned_of() -> None:
    model = {"name": "Qwen/Qwen3-8B"}
    assert "model.revision" in render(merged(MINIMAL, {"poolDefaults": {"model": model}})).notes
    assert "model.revision" not in render(merged(MINIMAL, {"poolDefaults": {"model": model | {"revision": "0" * 40}}})).notes


def test_the_commands_to_type_name_the_release() -> None:
    notes = render(MINIMAL, name="other", namespace="there").notes
    assert "helm test other -n there" in notes
    assert "kubectl -n there get secret firstword-keys" in notes
