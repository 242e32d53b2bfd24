"""The real engine as a hardened pod has it: no root, no capability, no user name, no network, a root that is read-only.

A sandbox of bubblewrap stands in for the pod. The environment is read from the table of docs/image.md, which the chart sets.
"""

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from service.engine.models.embedded import ensure_embedded_model
from tests.live.conftest import ENGINE_START_S
from tests.support.documents import table_rows_under
from tests.support.model_hub import COMMIT, model_hub
from tests.support.process import FIRSTWORD, ServiceProcess, service_process
from tests.support.sandbox import GID, UID, in_network_of, lacking, sandbox

REPO = Path(__file__).parents[2]
KEY = "test-key-1"
PATH = f"{Path(sys.executable).parent}:/usr/bin"
ASK = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1] + "/v1/chat/completions", sys.argv[2].encode(),
    {"x-api-key": sys.argv[3], "content-type": "application/json"})
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""

LACKING = lacking()
pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"needs {', '.join(LACKING)} (Debian: apt-get install bubblewrap)")


def pod_environment() -> dict[str, str]:
    rows = table_rows_under("image.md", "## Environment")
    return {name.strip("`"): value.strip("`").replace("KEY", "cpu") for name, value, _ in rows}


def checkout() -> list[str]:
    """The root: what of this machine the service reads. bubblewrap makes missing parents for their owner alone."""
    read_only = [Path("/usr"), Path("/etc"), Path(sys.base_prefix), REPO, Path(sys.prefix)]
    parents = {parent for path in read_only for parent in path.parents if parent != Path("/")}
    files = [word for parent in sorted(parents) for word in ("--perms", "0755", "--dir", str(parent))]
    files += [word for path in read_only for word in ("--ro-bind", str(path), str(path))]
    return files + [word for name in ("bin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volume")
    folder.chmod(0o775)
    os.chown(folder, 0, GID)
    return folder


def serving(cache: Path, **more: str) -> AbstractContextManager[ServiceProcess]:
    settings = {
        "FIRSTWORD_PORT": "8000",
        "FIRSTWORD_API_KEYS": f"acme={KEY}",
        # Compiling fills more of the caches than an eager engine does, and takes minutes: `make test-slow` does it.
        "FIRSTWORD_ENGINE_ARGS": '{"enforce_eager": false}' if os.environ.get("COMPILE") else "{}",
        "FIRSTWORD_LAMEDUCK_S": "0",
        "PATH": PATH,
    }
    command = [*sandbox(pod_environment() | settings | more, files=checkout(), cache=cache), FIRSTWORD, "serve"]
    return service_process(cache.parent / "log", command, within_s=ENGINE_START_S, key=KEY)


@pytest.fixture(scope="module")
def pod(cache: Path) -> Iterator[ServiceProcess]:
    with serving(cache) as running:
        yield running


def inside(pod: ServiceProcess, *command: str) -> str:
    """Run in the pod's network, which has only its own loopback, and return what was printed."""
    server = next(process for process in pod.family() if process.name() == "firstword")
    return subprocess.run([*in_network_of(server.pid), *command], capture_output=True, text=True, check=True).stdout


def answer(pod: ServiceProcess) -> str:
    body = {"model": pod.model, "max_tokens": 8, "messages": [{"role": "user", "content": "Hello!"}]}
    return inside(pod, sys.executable, "-c", ASK, pod.url, json.dumps(body), KEY)


def test_a_turn_is_answered(pod: ServiceProcess) -> None:
    assert '"finish_reason":"length"' in answer(pod)


def test_every_process_is_nobody_with_no_capability(pod: ServiceProcess) -> None:
    ours = [process for process in pod.family() if process.name() not in ("bwrap", "setpriv")]
    assert any("EngineCore" in process.name() for process in ours)
    for process in ours:
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if ":\t" in line
        )
        assert status["Uid"].split() == [str(UID)] * 4
        assert status["Gid"].split() == [str(GID)] * 4
        assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 5
        assert status["NoNewPrivs"] == "1"


def test_only_the_three_places_are_writable(pod: ServiceProcess) -> None:
    server = next(process for process in pod.family() if process.name() == "firstword")
    mounts = [line.split()[1:4] for line in Path(f"/proc/{server.pid}/mounts").read_text().splitlines()]
    writable = {where for where, kind, options in mounts if "rw" in options.split(",") and kind not in ("proc", "devpts")}
    devices = {where for where in writable if where.startswith("/dev/") and not Path(where).is_dir()}
    # /dev itself belongs to root.
    assert writable - devices == {"/cache", "/tmp", "/dev", "/dev/shm"}


def test_what_was_written_lies_where_the_table_says(pod: ServiceProcess, cache: Path) -> None:
    written = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    assert written
    folders = [Path(value) for value in pod_environment().values() if value.startswith("/cache/")]
    stray = {path for path in written if not any(Path("/cache", path).is_relative_to(folder) for folder in folders)}
    assert not stray
    assert any(path.startswith("compile/cpu/vllm/") for path in written)
    assert any(path.startswith("compile/cpu/home/.cache/firstword/models/") for path in written)


def test_nobody_of_that_uid_is_known() -> None:
    """Otherwise the tests above would prove less than they say."""
    with pytest.raises(KeyError):
        pwd.getpwuid(UID)


def test_a_model_fetched_before_is_served_without_a_network(tmp_path: Path) -> None:
    """As the chart does it: a container that fetches, then one that serves offline. The hub is on this machine."""
    cache = tmp_path / "volume"
    cache.mkdir()
    cache.chmod(0o775)
    folder = ensure_embedded_model(print)
    with model_hub() as hub:
        hub.repos["acme/small"] = (COMMIT, {file.name: file.read_bytes() for file in folder.iterdir()})
        environment = pod_environment() | {"HF_ENDPOINT": hub.url, "PATH": PATH}
        fetch = [FIRSTWORD, "fetch", "acme/small", "--revision", COMMIT]
        subprocess.run([*sandbox(environment, files=checkout(), cache=cache, has_network=True), *fetch], check=True, timeout=120)
    offline = {"HF_HUB_OFFLINE": "1", "FIRSTWORD_MODEL": "acme/small", "FIRSTWORD_ENGINE_ARGS": f'{{"revision": "{COMMIT}"}}'}
    with serving(cache, **offline) as pod:
        assert pod.model == "acme/small"
        assert '"finish_reason":"length"' in answer(pod)
