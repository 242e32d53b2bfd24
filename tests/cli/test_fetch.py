"""`firstword fetch`, with the real client of the model hub, against a hub on this machine."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.cli import fetch as fetch_module
from service.weights.files import missing, wanted
from tests.support.documents import table_rows_under
from tests.support.model_hub import ADAPTER, ADAPTER_COMMIT, COMMIT, WHOLE_MODEL, Fault, ModelHub, model_hub
from tests.support.process import FIRSTWORD

TOKEN = "hf_secret_of_the_test"
LOADED = {"config.json", "tokenizer.json", "model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"}


@dataclass
class Fetcher:
    hub: ModelHub
    cache: Path

    def environment(self, **variables: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "FIRSTWORD_"))}
        return kept | {"HF_ENDPOINT": self.hub.url, "HF_HOME": f"{self.cache}/hf", "HF_TOKEN": TOKEN, **variables}

    def __call__(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        line = [FIRSTWORD, "fetch", f"--adapters-dir={self.cache}/adapters", "--patience-s=20", *arguments]
        done = subprocess.run(line, env=self.environment(**variables), capture_output=True, text=True, check=False, timeout=120)
        assert TOKEN not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    @property
    def snapshot(self) -> Path:
        return self.cache / "hf/hub/models--acme--llama/snapshots" / COMMIT

    def names(self) -> set[str]:
        return {path.name for path in self.snapshot.iterdir()} - {"firstword-fetched.json"}


@pytest.fixture
def fetch(tmp_path: Path) -> Iterator[Fetcher]:
    with model_hub() as hub:
        yield Fetcher(hub, tmp_path)


def test_what_vllm_loads_is_fetched_and_nothing_else(fetch: Fetcher) -> None:
    done = fetch("acme/llama")
    assert done.returncode == 0, done.stderr
    assert fetch.names() == LOADED
    assert (fetch.snapshot / "model-2.safetensors").read_bytes() == WHOLE_MODEL["model-2.safetensors"]
    assert "5 files, 500 kB, of which 500 kB to download" in done.stderr
    assert f"Bearer {TOKEN}" in fetch.hub.tokens


def test_what_is_there_is_not_fetched_again_and_a_commit_not_even_asked_for(fetch: Fetcher) -> None:
    assert fetch("acme/llama", "--revision", COMMIT).returncode == 0
    fetch.hub.asked.clear()
    assert str(fetch.snapshot) in fetch("acme/llama", "--revision", COMMIT).stderr
    assert fetch.hub.asked == []
    assert "0 B to download" in fetch("acme/llama").stderr
    assert fetch.hub.bodies_sent() == []


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("where", ["GET /api/models", "GET /acme/llama/resolve"])
def test_a_busy_hub_is_asked_again(fetch: Fetcher, status: int, where: str) -> None:
    fetch.hub.faults.append(Fault(where, status, headers={"Retry-After": "1"}))
    done = fetch("acme/llama")
    assert done.returncode == 0, done.stderr
    assert fetch.names() == LOADED


def test_a_broken_connection_does_not_cost_what_has_come(fetch: Fetcher) -> None:
    fetch.hub.faults.append(Fault("GET /acme/llama/resolve", cut_after=1000, times=20))
    assert fetch("acme/llama", "--patience-s=0").returncode == 2
    fetch.hub.faults[0].times = 0
    first = len(fetch.hub.bodies_sent())
    assert fetch("acme/llama").returncode == 0
    assert first
    assert missing(fetch.snapshot) == []
    assert fetch("acme/llama", HF_HUB_OFFLINE="1").returncode == 0


def test_a_killed_download_goes_on_with_the_files_that_were_whole(fetch: Fetcher) -> None:
    fetch.hub.faults.append(Fault("GET /acme/llama/resolve/" + COMMIT + "/model-2", 503, times=1000))
    line = [FIRSTWORD, "fetch", "acme/llama"]
    with subprocess.Popen(line, env=fetch.environment(), stderr=subprocess.DEVNULL) as killed:
        while not (fetch.snapshot / "model-1.safetensors").exists():
            assert killed.poll() is None
            time.sleep(0.05)
        killed.send_signal(signal.SIGTERM)
        assert killed.wait(10) == 143
    fetch.hub.faults[0].times = 0
    fetch.hub.asked.clear()
    assert "of which 300 kB" in fetch("acme/llama").stderr
    assert "model-1.safetensors" not in fetch.hub.bodies_sent()
    assert missing(fetch.snapshot) == []


def test_two_pods_at_once_on_one_volume(fetch: Fetcher) -> None:
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: fetch("acme/llama"), range(3)))
    assert [one.returncode for one in done] == [0, 0, 0]
    assert (fetch.snapshot / "model-1.safetensors").read_bytes() == WHOLE_MODEL["model-1.safetensors"]
    assert not list(fetch.cache.rglob("*.incomplete"))


@pytest.mark.parametrize(
    ("fault", "arguments", "reason"),
    [
        (Fault("/resolve/", 401, 99, "GatedRepo"), (), "is gated: accept its terms"),
        (Fault("/resolve/", 403, 99, "GatedRepo"), (), "is gated: accept its terms"),
        (Fault("/api/", 401, 99, "RepoNotFound"), (), "does not exist, or is private (status 401; HF_TOKEN is set"),
        (Fault("/api/", 403, 99), (), "may not read it"),
        (None, ("--revision", "v9"), "acme/llama has no revision v9"),
        (None, ("--adapter", "sales=acme/nowhere"), "acme/nowhere does not exist"),
        (None, ("--adapter", "sales"), "NAME=REPO@REVISION"),
    ],
)
def test_what_waiting_would_not_help_ends_at_once(
    fetch: Fetcher, fault: Fault | None, arguments: tuple[str, ...], reason: str
) -> None:
    fetch.hub.faults += [fault] if fault else []
    started = time.monotonic()
    done = fetch("acme/llama", *arguments)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "next try in" not in done.stderr
    assert time.monotonic() - started < 15


def test_a_hub_that_stays_away_ends_in_a_sentence(fetch: Fetcher) -> None:
    fetch.hub.faults.append(Fault("/api/", 503, 1000))
    done = fetch("acme/llama", "--patience-s=3")
    assert done.returncode == 2
    assert "acme/llama: gave up after 3 s" in done.stderr


def test_what_is_whole_is_served_while_the_hub_is_away(fetch: Fetcher) -> None:
    assert fetch("acme/llama").returncode == 0
    fetch.hub.faults.append(Fault("/api/", 503, 1000))
    done = fetch("acme/llama", "--patience-s=2")
    assert done.returncode == 0
    assert str(fetch.snapshot) in done.stderr


def test_adapters_go_to_folders_by_name_and_revision(fetch: Fetcher) -> None:
    done = fetch("embedded", "--adapter", f"sales=acme/sales@{ADAPTER_COMMIT}", "--adapter", "support=acme/sales")
    assert done.returncode == 0, done.stderr
    for folder in (f"sales/{ADAPTER_COMMIT}", "support/main"):
        file = fetch.cache / "adapters" / folder / "adapter_model.safetensors"
        assert file.read_bytes() == ADAPTER["adapter_model.safetensors"]
        assert not file.with_name("optimizer.pt").exists()


def test_offline_says_what_is_missing(fetch: Fetcher) -> None:
    done = fetch("acme/llama", HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert "is not on the volume" in done.stderr
    assert fetch("acme/llama").returncode == 0
    fetch.hub.asked.clear()
    assert fetch("acme/llama", HF_HUB_OFFLINE="1").returncode == 0
    (fetch.snapshot / "model-2.safetensors").unlink()
    done = fetch("acme/llama", HF_HUB_OFFLINE="1")
    assert done.returncode == 2
    assert f"{fetch.snapshot} is not complete: model-2.safetensors missing" in done.stderr
    assert fetch.hub.asked == []


def test_a_volume_filled_by_hand_is_judged_by_its_index(tmp_path: Path, fetch: Fetcher) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "model.safetensors.index.json", "model-1.safetensors"):
        (folder / name).write_bytes(WHOLE_MODEL[name])
    assert f"{folder} is not complete: model-2.safetensors missing" in fetch(str(folder)).stderr
    (folder / "model-2.safetensors").touch()
    assert fetch(str(folder)).returncode == 0
    assert "/nowhere/model does not exist" in fetch("/nowhere/model").stderr


def test_a_full_volume_is_told_beforehand(fetch: Fetcher) -> None:
    """The listing promises more than any disk has; nothing is downloaded."""
    code = """
import shutil, sys
shutil.disk_usage = lambda path: type("Usage", (), {"free": 1000})
sys.argv = ["firstword", "fetch", "acme/llama"]
from service.cli.main import main
main()"""
    done = subprocess.run([sys.executable, "-c", code], env=fetch.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "acme/llama needs 500 kB more" in done.stderr
    assert fetch.hub.bodies_sent() == []


def test_a_volume_that_cannot_be_written_is_named(tmp_path: Path, fetch: Fetcher) -> None:
    (tmp_path / "file").touch()
    done = fetch("embedded", VLLM_CACHE_ROOT=f"{tmp_path}/file/vllm")
    assert done.returncode == 2
    assert f"VLLM_CACHE_ROOT={tmp_path}/file/vllm" in done.stderr


@pytest.mark.parametrize(
    ("files", "loaded"),
    [
        ("model.safetensors pytorch_model.bin config.json", "model.safetensors config.json"),
        ("pytorch_model.bin config.json", "pytorch_model.bin config.json"),
        ("consolidated.safetensors model.safetensors params.json", "consolidated.safetensors params.json"),
        ("model.safetensors original/params.json original/model.safetensors", "model.safetensors"),
        ("model.safetensors eagle/model.safetensors tool/config.json", "model.safetensors tool/config.json"),
        ("model.safetensors training_args.bin model.gguf tf_model.h5 logo.png", "model.safetensors"),
    ],
)
def test_which_files_vllm_loads(files: str, loaded: str) -> None:
    assert set(wanted(dict.fromkeys(files.split(), 1))) == set(loaded.split())


def test_the_folders_made_are_those_of_the_documented_environment() -> None:
    documented = {name.strip("`") for name, value, _ in table_rows_under("image.md", "## Environment") if "/cache/" in value}
    assert set(fetch_module._FOLDERS) == documented
