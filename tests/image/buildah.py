"""Building images with buildah and running what they hold, on a machine without a registry or a container engine.

Images are built in a chroot and run by bubblewrap, which gives them what a hardened pod has: a read-only root, no capability.
"""

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.sandbox import in_network_of, sandbox

REPO = Path(__file__).parents[2]


@dataclass
class Buildah:
    folder: Path

    def __call__(self, *arguments: str) -> str:
        storage = ["--root", f"{self.folder}/store", "--runroot", f"{self.folder}/run", "--storage-driver", self.driver]
        done = subprocess.run(["buildah", *storage, *arguments], capture_output=True, text=True, check=False, cwd=REPO)
        assert done.returncode == 0, f"buildah {shlex.join(arguments)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    @property
    def driver(self) -> str:
        """Without overlay each image is a copy of its base: slower, and right all the same."""
        return "overlay" if "\toverlay\n" in Path("/proc/filesystems").read_text() else "vfs"

    def build(self, file: Path, context: Path, image: str, *, target: str = "", **arguments: str) -> None:
        """What pip is set to on this machine reaches the build as a secret and as mounts: neither is in the image."""
        reported = [part for name, value in arguments.items() for part in ("--build-arg", f"{name.upper()}={value}")]
        pip = ["--secret", f"id=pip,src={self._pip_settings()}"]
        mounts = [part for path in _pip_paths() for part in ("--volume", f"{path}:{path}:ro")]
        reported += ["--target", target] if target else []
        where = ["--isolation", "chroot", "--file", str(file), "--tag", f"localhost/{image}", str(context)]
        self("bud", *reported, *pip, *mounts, *where)

    def _pip_settings(self) -> Path:
        file = self.folder / "pip.conf"
        file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in _pip_config().items()))
        return file

    def python_base(self, image: str) -> None:
        """A stand-in for `python:3.11-slim`: Debian's smallest system, its Python, and nothing that says who manages it."""
        root = self.folder / "debian"
        packages = "python3,python3-pip,python-is-python3,ca-certificates"
        codename = subprocess.run(
            ["sh", "-c", '. /etc/os-release; echo "$VERSION_CODENAME"'], capture_output=True, text=True, check=True
        ).stdout.strip()
        line = ["debootstrap", "--variant=minbase", f"--include={packages}", codename, str(root)]
        subprocess.run(line, check=True, capture_output=True, timeout=600)
        for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()
        file = self.folder / "python.Dockerfile"
        file.write_text("FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n")
        self.build(file, root, image)
        shutil.rmtree(root)


@dataclass
class Container:
    """An image's files, mounted, and the command line that its configuration makes."""

    root: Path
    config: dict[str, object]

    @classmethod
    def of(cls, buildah: Buildah, image: str) -> "Container":
        name = buildah("from", "--pull-never", f"localhost/{image}")
        reported = json.loads(buildah("inspect", name))["OCIv1"]["config"]
        return cls(Path(buildah("mount", name)), reported)

    def line(
        self, command: Sequence[str], variables: Mapping[str, str], *, cache: Path | None = None, has_network: bool = False
    ) -> list[str]:
        """The command, or the image's own, as a pod would run it."""
        root = ["--ro-bind", str(self.root), "/"]
        folder = str(self.config.get("WorkingDir") or "/")
        environment = {**self._environment(), **variables}
        before = sandbox(environment, root=root, cache=cache, has_network=has_network, folder=folder)
        return [*before, *(command or [*self._words("Entrypoint"), *self._words("Cmd")])]

    def run(self, *command: str, inside: int | None = None, **variables: str) -> "subprocess.CompletedProcess[str]":
        """To its end; in the network of the process `inside`, where one is named."""
        line = [*(in_network_of(inside) if inside else []), *self.line(command, variables, has_network=True)]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=240)

    def _environment(self) -> dict[str, str]:
        return dict(entry.split("=", 1) for entry in self._words("Env"))

    def _words(self, name: str) -> Sequence[str]:
        words = self.config.get(name) or []
        assert isinstance(words, list)
        return words


def _pip_config() -> dict[str, str]:
    """`pip config list` of this machine, whether it comes from files or the environment."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    settings = (line.split("=", 1) for line in listed.splitlines())
    reported = {name.rsplit(".", 1)[1]: value.strip("'") for name, value in settings if name.startswith((":env:", "global"))}
    return {name: value for name, value in reported.items() if name != "config-file"}


def _pip_paths() -> list[Path]:
    """Local files that those settings name: certificates, folders of wheels, an index with the files beside it."""
    words = [word for value in _pip_config().values() for word in value.split()]
    named = {Path(word) for word in words if word.startswith("/")}
    indexes = {Path(word.removeprefix("file://")).parent for word in words if word.startswith("file://")}
    return sorted(path for path in named | indexes if path.exists())
