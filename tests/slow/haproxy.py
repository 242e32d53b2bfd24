"""A real HAProxy, with the configuration that docs/operations.md recommends."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.documents import document_text
from tests.support.process import free_port

_PATH = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SERVERS = ("a", "b")


@dataclass
class HaProxy:
    port: int
    stats: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_up(self, server: str) -> bool:
        """Whether HAProxy would send turns to it."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.stats))
            sock.sendall(b"show stat\n")
            table = sock.makefile().read()
        return re.search(rf"^firstword,{server},.*,UP,", table, re.MULTILINE) is not None

    def await_up(self, *servers: str, within_s: float = 10) -> None:
        deadline = time.monotonic() + within_s
        while not all(self.is_up(server) for server in servers):
            assert time.monotonic() < deadline, f"HAProxy does not see {servers} up"
            time.sleep(0.05)


@contextmanager
def haproxy(folder: Path, ports: Sequence[int], changes: Mapping[str, str]) -> Iterator[HaProxy]:
    """In front of services at these ports. `changes`: text of the documented configuration and what stands in its place."""
    assert _PATH, "HAProxy is not installed: `make haproxy` does it."
    port, stats = free_port(), folder / "haproxy.sock"
    places = {f"10.0.0.1{number}:8000": f"127.0.0.1:{each}" for number, each in enumerate(ports, start=1)}
    config = re.findall(r"```haproxy\n(.*?)```", document_text("operations.md"), re.DOTALL)[0]
    for written, meant in {**places, "bind :8080": f"bind 127.0.0.1:{port}", **changes}.items():
        assert config.count(written) == 1, f"{written!r} must stand in the documented configuration once"
        config = config.replace(written, meant)
    file = folder / "haproxy.cfg"
    file.write_text(config.replace("global\n", f"global\n    stats socket {stats}\n"))
    with (folder / "haproxy.log").open("w") as log:
        process = subprocess.Popen([_PATH, "-db", "-f", str(file)], stdout=log, stderr=log)
    try:
        while not stats.exists():
            assert process.poll() is None, (folder / "haproxy.log").read_text()
            time.sleep(0.01)
        proxy = HaProxy(port, stats)
        proxy.await_up(*SERVERS)
        yield proxy
    finally:
        process.kill()
        process.wait()
