"""LoRA adapters at run time: changes of the settings file reach the model registry and the engine."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.domain import PromptSettings
from service.engine.scripted.engine import Reply
from service.settings import AdapterSetting, adapters_file
from tests.support.factories import CANARY
from tests.support.service_under_test import ScriptedService, scripted_service, until

POLL_S = 0.02
HELD = Reply(steps=("word",) * 50, step_s=0.02)


@dataclass
class Served:
    service: ScriptedService
    file: Path
    folders: Path

    def write(self, *names: str, **paths: str) -> None:
        """Write the settings file: each adapter has the folder of its name, or the given one."""
        self.file.write_text(yaml.safe_dump({"adapters": listed(self.folders, *names, **paths)}))

    def names(self) -> dict[str, str | None]:
        answer = self.service.get("/v1/models", headers={"x-api-key": self.service.key}).json()
        return {model["id"]: model["parent"] for model in answer["data"]}

    def ask(self, model: str) -> int:
        return self.service.post(self.service.body(model=model)).status_code

    def loads(self, result: str) -> float:
        text = self.service.get("/metrics").text
        found = [line for line in text.splitlines() if line.startswith(f'firstword_adapter_loads_total{{result="{result}"}}')]
        return float(found[0].split()[-1])

    @property
    def in_engine(self) -> set[str]:
        return {adapter.name for adapter in self.service.engine.adapters.values()}


def listed(folders: Path, *names: str, **paths: str) -> list[dict[str, str]]:
    for folder in (*names, *paths.values()):
        if folder != "missing":
            (folders / folder).mkdir(exist_ok=True)
    return [{"name": name, "path": str(folders / folder)} for name, folder in (*zip(names, names, strict=True), *paths.items())]


@contextmanager
def serving(tmp_path: Path, *names: str, paths: dict[str, str] | None = None, **settings: Any) -> Iterator[Served]:
    """A service that follows its settings file."""
    file = tmp_path / "firstword.yaml"
    adapters = listed(tmp_path, *names, **(paths or {}))
    file.write_text(yaml.safe_dump({"adapters": adapters}))
    chosen = [AdapterSetting(**adapter) for adapter in adapters]
    with scripted_service(adapters=chosen, **settings) as running:
        watching = asyncio.run_coroutine_threadsafe(running.services.adapters.watch(file, poll_s=POLL_S), running.loop)
        try:
            yield Served(running, file, tmp_path)
        finally:
            watching.cancel()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, "sales", "support", model_aliases=["house-voice"], engine_args={"max_adapters": 3}) as running:
        yield running


def test_configured_adapters_are_listed_with_their_parent_and_reach_the_engine(served: Served) -> None:
    assert served.names() == {"scripted": None, "house-voice": None, "sales": "scripted", "support": "scripted"}
    response = served.service.post(served.service.body(model="support"))
    assert response.json()["model"] == "support"
    adapter = served.service.engine.jobs[-1].adapter
    assert adapter is not None
    assert (adapter.name, adapter.path) == ("support", str(served.folders / "support"))
    assert served.service.metric("firstword_adapters") == served.loads("loaded") == 2


@pytest.mark.parametrize("name", ["house-voice", "scripted"])
def test_an_alias_is_the_model_itself(served: Served, name: str) -> None:
    assert served.service.post(served.service.body(model=name)).json()["model"] == name
    assert served.service.engine.jobs[-1].adapter is None


def test_a_bad_one_is_refused_at_the_start_and_the_rest_serve(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {"gone": "missing", "scripted": "a", "broken": "b"}
    with serving(tmp_path, "sales", paths=bad, engine_args={"bad_adapters": ["broken"]}) as served:
        assert (served.ask("sales"), served.ask("broken"), served.ask("gone"), served.ask("scripted")) == (200, 404, 404, 200)
        assert (served.loads("refused"), served.in_engine) == (3, {"sales"})
    said = capsys.readouterr()
    for name in bad:
        assert f"The adapter '{name}' is refused: " in said.out + said.err


def test_one_added_to_the_file_is_served_and_one_removed_is_not(served: Served) -> None:
    assert served.ask("billing") == 404
    served.write("sales", "billing")
    until(lambda: served.ask("billing") == 200)
    assert served.ask("support") == 404
    until(lambda: served.in_engine == {"sales", "billing"})
    assert served.loads("loaded") == 3, "sales was there already"


def test_a_turn_keeps_the_adapter_it_began_with(served: Served) -> None:
    served.service.engine.enqueue(HELD)
    loop, body = served.service.loop, served.service.body(model="sales", max_tokens=50)
    answer = asyncio.run_coroutine_threadsafe(asyncio.to_thread(served.service.post, body), loop)
    until(lambda: served.service.engine.running == 1)
    served.write("support")
    until(lambda: "sales" not in served.names())
    assert served.in_engine == {"sales", "support"}
    assert answer.result(10).status_code == 200
    until(lambda: served.in_engine == {"support"})


def test_a_new_path_takes_the_place_of_the_old(served: Served) -> None:
    served.write("support", sales="sales-2")
    until(lambda: served.loads("loaded") == 3)
    served.ask("sales")
    adapter = served.service.engine.jobs[-1].adapter
    assert adapter is not None
    assert adapter.path == str(served.folders / "sales-2")
    until(lambda: len(served.service.engine.adapters) == 2)


def test_a_new_path_that_is_bad_leaves_the_old_one_serving(served: Served) -> None:
    served.write("support", sales="missing")
    until(lambda: served.loads("refused") == 1)
    assert served.ask("sales") == 200


def test_more_than_fit_are_refused_and_no_room_is_needed_to_exchange(served: Served) -> None:
    served.write("sales", "support", "third", "fourth")
    until(lambda: served.loads("refused") == 1)
    assert (served.ask("third"), served.ask("fourth")) == (200, 404)
    served.write("sales", "fourth", "fifth")
    until(lambda: served.ask("fifth") == 200)
    served.write("sales", "fourth", fifth="sixth")
    until(lambda: str(served.folders / "sixth") in {adapter.path for adapter in served.service.engine.adapters.values()})
    until(lambda: served.ask("fifth") == 200)
    assert served.in_engine == {"sales", "fourth", "fifth"}


@pytest.mark.parametrize(
    "content",
    ["", f"adapters: [{CANARY}", f"adapters: [{{name: {CANARY}}}]", f"adapters: {CANARY}", f"- {CANARY}", "adapters: null", None],
    ids=["empty", "no YAML", "no path", "no list", "no mapping", "null", "no file"],
)
def test_a_broken_file_keeps_the_last_good_list(served: Served, capsys: pytest.CaptureFixture[str], content: str | None) -> None:
    if content is None:
        served.file.unlink()
    else:
        served.file.write_text(content)
    until(lambda: served.loads("file_unreadable") == 1)
    assert served.names().keys() >= {"sales", "support"}
    said = capsys.readouterr()
    assert "the settings file cannot be used" in said.out + said.err
    assert CANARY not in said.out + said.err
    served.write("sales")
    until(lambda: served.in_engine == {"sales"})


def test_two_of_one_name_are_a_broken_list(served: Served) -> None:
    served.file.write_text(yaml.safe_dump({"adapters": [*listed(served.folders, "third"), *listed(served.folders, "third")]}))
    until(lambda: served.loads("file_unreadable") == 1)
    assert served.ask("third") == 404


def test_the_symlink_swap_of_a_configmap_is_seen(tmp_path: Path) -> None:
    """Kubernetes adds a new folder and renames the symlink `..data` onto it. The file's own link does not change."""
    with serving(tmp_path, "sales") as served:
        mount = tmp_path / "mount"
        for version, names in (("..v1", ["sales"]), ("..v2", ["sales", "billing"])):
            (mount / version).mkdir(parents=True)
            content = yaml.safe_dump({"adapters": listed(tmp_path, *names)})
            (mount / version / "firstword.yaml").write_text(content)
        (mount / "..data").symlink_to("..v1")
        (mount / "firstword.yaml").symlink_to("..data/firstword.yaml")
        watch = served.service.services.adapters.watch(mount / "firstword.yaml", poll_s=POLL_S)
        watching = asyncio.run_coroutine_threadsafe(watch, served.service.loop)
        time.sleep(POLL_S * 5)
        (mount / "..data_tmp").symlink_to("..v2")
        (mount / "..data_tmp").rename(mount / "..data")
        until(lambda: served.ask("billing") == 200)
        watching.cancel()


def test_which_file_is_followed() -> None:
    assert adapters_file({"FIRSTWORD_CONFIG": "x.yaml"}) == Path("x.yaml")
    assert adapters_file({"FIRSTWORD_CONFIG": "x.yaml", "firstword_adapters": "[]"}) is None
    assert adapters_file({k: v for k, v in os.environ.items() if not k.startswith("FIRSTWORD")}) is None


def prompts_of(served: Served, name: str) -> PromptSettings | None:
    return next((adapter.prompts for adapter in served.service.services.model_registry.adapters if adapter.name == name), None)


def test_prompt_settings_of_an_adapter_reach_the_engine_and_a_change_loads_it_again(served: Served) -> None:
    template = served.folders / "sales.jinja"
    template.write_text("{{ messages }}")
    sales = listed(served.folders, "sales")[0]
    own: dict[str, Any] = {"thinking": "on", "template_kwargs": {"tone": "warm"}, "chat_template": str(template)}
    served.file.write_text(yaml.safe_dump({"adapters": [{**sales, **own}]}))
    until(lambda: prompts_of(served, "sales") == PromptSettings("on", {"tone": "warm"}, "{{ messages }}"))
    served.file.write_text(yaml.safe_dump({"adapters": [{**sales, **own, "thinking": "off"}]}))
    until(lambda: prompts_of(served, "sales") == PromptSettings("off", {"tone": "warm"}, "{{ messages }}"))
    until(lambda: served.in_engine == {"sales"})
    assert served.ask("sales") == 200


def test_an_adapter_whose_template_cannot_be_read_is_refused_and_the_others_are_served(served: Served) -> None:
    adapters: list[dict[str, Any]] = listed(served.folders, "sales", "support", "billing")
    adapters[2]["chat_template"] = str(served.folders / "no-such.jinja")
    served.file.write_text(yaml.safe_dump({"adapters": adapters}))
    until(lambda: served.loads("refused") == 1)
    assert served.ask("billing") == 404
    assert served.ask("support") == 200
