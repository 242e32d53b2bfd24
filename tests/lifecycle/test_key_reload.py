"""Changes of the key file at run time: keys are added, revoked and replaced without a gap, and a broken file changes nothing."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from service.engine.scripted.engine import Reply
from service.lifecycle.key_reload import follow_key_file
from service.tenants.auth import KeyRing
from service.tenants.key_file import add_key, read_key_file, revoke_key
from tests.support.factories import CANARY
from tests.support.process import service_process
from tests.support.service_under_test import ScriptedService, scripted_service, until

POLL_S = 0.02


@dataclass
class Served:
    service: ScriptedService
    file: Path
    key: str
    """A key of the tenant acme, in the file from the start."""

    def ask(self, key: str) -> int:
        return self.service.post(self.service.body(), headers={"x-api-key": key}).status_code

    def metric(self, name: str) -> float:
        lines = self.service.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[-1])

    def reloads(self, result: str) -> float:
        return self.metric(f'firstword_key_file_reloads_total{{result="{result}"}}')


@contextmanager
def following(file: Path, *plain: tuple[str, str]) -> Iterator[ScriptedService]:
    """A service that follows its key file."""
    with scripted_service(keys=KeyRing(read_key_file(file), plain)) as running:
        follow = follow_key_file(file, running.services.keys, running.services.telemetry, poll_s=POLL_S)
        task = asyncio.run_coroutine_threadsafe(follow, running.loop)
        yield running
        assert not task.done()
        task.cancel()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    file = tmp_path / "keys.yaml"
    key = add_key(file, "acme")
    with following(file) as service:
        yield Served(service, file, key)


def key_id(key: str) -> str:
    return key.split("_")[1]


def test_an_added_key_comes_and_a_revoked_one_goes(served: Served) -> None:
    added = add_key(served.file, "other")
    until(lambda: served.ask(added) == 200)
    assert served.ask(served.key) == 200
    revoke_key(served.file, key_id(served.key))
    until(lambda: served.ask(served.key) == 401)
    assert served.ask(added) == 200
    assert (served.reloads("loaded"), served.reloads("refused"), served.metric("firstword_key_file_ok")) == (2, 0, 1)


def test_a_file_that_does_not_change_is_not_reloaded(served: Served) -> None:
    time.sleep(POLL_S * 5)
    assert (served.reloads("loaded"), served.reloads("refused")) == (0, 0)


def test_a_new_tenants_series_are_there_before_its_first_turn(served: Served) -> None:
    add_key(served.file, "newcomer")
    until(lambda: 'outcome="on_time",tenant="newcomer"} 0.0' in served.service.get("/metrics").text)


def test_a_stream_goes_on_when_its_key_is_revoked(served: Served) -> None:
    served.service.engine.enqueue(Reply(steps=("word",) * 40, step_s=0.02))
    texts: list[str] = []
    headers = {"x-api-key": served.key}
    streaming = threading.Thread(
        target=lambda: texts.append(served.service.post(served.service.body(stream=True, max_tokens=40), headers=headers).text)
    )
    streaming.start()
    until(lambda: served.service.engine.running == 1)
    add_key(served.file, "acme")
    revoke_key(served.file, key_id(served.key))
    until(lambda: served.ask(served.key) == 401)
    assert served.service.engine.running == 1
    streaming.join(10)
    assert texts[0].count("word") == 40
    assert texts[0].endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.unlink(),
        lambda file: file.write_text(""),
        lambda file: file.write_text(f"salt: {CANARY}\nkeys: []"),
        lambda file: file.write_text(f"{CANARY}: ["),
        lambda file: file.write_text(yaml.safe_dump({"salt": "0f" * 16, "keys": []})),
        lambda file: file.write_text(file.read_text() + f"tenants: {{{CANARY}: {{weight: {CANARY}}}}}"),
    ],
    ids=["missing", "empty", "wrong field", "no YAML", "no keys", "wrong policy"],
)
def test_a_broken_file_keeps_the_last_good_keys_and_says_so(
    served: Served, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    good = served.file.read_text()
    spoil(served.file)
    until(lambda: served.reloads("refused") == 1)
    assert served.metric("firstword_key_file_ok") == 0
    assert served.ask(served.key) == 200
    shown = capsys.readouterr()
    assert "key file cannot be used" in shown.out + shown.err
    assert CANARY not in shown.out + shown.err + served.service.get("/metrics").text
    served.file.write_text(good)
    until(lambda: served.metric("firstword_key_file_ok") == 1)
    assert served.ask(served.key) == 200


def test_the_last_key_of_a_file_may_go_where_there_are_others(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    key = add_key(file, "acme")
    with following(file, ("other", "o-key")) as service:
        served = Served(service, file, key)
        revoke_key(file, key_id(key))
        until(lambda: served.ask(key) == 401)
        assert (served.ask("o-key"), served.metric("firstword_key_file_ok")) == (200, 1)


def test_the_symlink_swap_of_a_secret_is_seen(tmp_path: Path) -> None:
    """Kubernetes adds a new folder, renames the symlink `..data` onto it, and removes the old folder."""
    mount = tmp_path / "mount"
    first = add_key(mount / "..v1" / "keys.yaml", "acme")
    shutil.copytree(mount / "..v1", mount / "..v2")
    second = add_key(mount / "..v2" / "keys.yaml", "acme")
    (mount / "..data").symlink_to("..v1")
    file = mount / "keys.yaml"
    file.symlink_to("..data/keys.yaml")
    with following(file) as service:
        served = Served(service, file, first)
        time.sleep(POLL_S * 5)
        assert served.ask(second) == 401
        (mount / "..data_tmp").symlink_to("..v2")
        (mount / "..data_tmp").rename(mount / "..data")
        shutil.rmtree(mount / "..v1")
        until(lambda: served.ask(second) == 200)
        assert served.ask(first) == 200


def test_rotation_under_load_without_a_401(tmp_path: Path) -> None:
    """With the real process: callers send the current key all the time, while it is replaced three times."""
    file = tmp_path / "keys.yaml"
    current = [add_key(file, "acme")]
    statuses: list[list[int]] = [[], [], []]
    is_over = threading.Event()
    with service_process(tmp_path / "log", within_s=30, engine="scripted", api_keys="", api_keys_file=str(file)) as service:

        def ask(key: str) -> int:
            return service.post(service.body(), headers={"x-api-key": key}).status_code

        def call(answers: list[int]) -> None:
            while not is_over.is_set():
                answers.append(ask(current[0]))

        def until_all_use_the_current_key() -> None:
            answered = [len(answers) for answers in statuses]
            for answers, count in zip(statuses, answered, strict=True):
                until(lambda mine=answers, past=count: len(mine) >= past + 2, within_s=20)  # type: ignore[misc]

        callers = [threading.Thread(target=call, args=(answers,)) for answers in statuses]
        for caller in callers:
            caller.start()
        for _ in range(3):
            old, new = current[0], add_key(file, "acme")
            until(lambda key=new: ask(key) == 200, within_s=20)  # type: ignore[misc]
            current[0] = new
            until_all_use_the_current_key()
            revoke_key(file, key_id(old))
            until(lambda key=old: ask(key) == 401, within_s=20)  # type: ignore[misc]
        is_over.set()
        for caller in callers:
            caller.join(10)
    assert {status for answers in statuses for status in answers} == {200}
