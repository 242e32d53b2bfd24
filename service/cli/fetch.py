"""`firstword fetch MODEL`: downloads weights before an engine starts, so that serving needs no model hub.

It runs in an init container. It retries after broken connections and while the hub is busy, and it prints its progress.
If waiting cannot help, it ends at once and says what to do.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from service.console.progress import EVERY_S, at_intervals, say
from service.errors import StartError
from service.settings import EMBEDDED_MODEL
from service.weights.files import bytes_coming, bytes_of, is_marked, mark, missing, remove_abandoned, wanted
from service.weights.hub import Repo, refusal, retry_after_s

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_SPARE = 1.02
"""Free space that a download needs, as a multiple of its bytes: file systems use some space themselves."""
_FOLDERS = (
    "HOME",
    "HF_HOME",
    "VLLM_CACHE_ROOT",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "FLASHINFER_WORKSPACE_BASE",
    "CUDA_CACHE_PATH",
)
_WITH_A_COPY_S = 30.0
"""Maximum seconds to wait for a hub that does not answer, if a complete older copy is on the disk."""

Result = TypeVar("Result")


def fetch(
    model: Annotated[
        str, typer.Argument(help="A Hugging Face model ID. A folder is only checked, and `embedded` needs no download.")
    ],
    *,
    revision: Annotated[str | None, typer.Option(help="A commit, tag or branch. Only a commit is sure not to change.")] = None,
    adapter: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=REPO[@REVISION]", help="A LoRA adapter. You can give this option several times."),
    ] = None,
    adapters_dir: Annotated[Path, typer.Option(help="The folder for adapters. Each goes to NAME/REVISION in it.")] = Path(
        "/cache/adapters"
    ),
    all_files: Annotated[
        bool, typer.Option("--all", help="Download all files, not only those that vLLM loads by default.")
    ] = False,
    patience_s: Annotated[float, typer.Option(min=0, help="Give up after this many seconds without a new byte.")] = 300.0,
) -> None:
    """Download a model into HF_HOME, and its adapters, with retries. The hub's token is HF_TOKEN.

    With HF_HUB_OFFLINE=1 it only checks that the files are there.
    """
    # Process 1 of a container has no default action for signals.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(143))
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    repos = [_parse_adapter(given, adapters_dir) for given in adapter or ()]
    _make_folders()
    if model == EMBEDDED_MODEL:
        say("The embedded model is part of the image. There is nothing to fetch.")
    elif model.startswith(("/", ".", "~")) or Path(model).is_dir():
        _check_folder(Path(model).expanduser())
    else:
        repos.insert(0, Repo(model, revision))
    for repo in repos:
        _fetch(repo, takes_all=all_files, patience_s=patience_s)


def _parse_adapter(given: str, adapters_dir: Path) -> Repo:
    name, _, where = given.partition("=")
    repo, _, revision = where.partition("@")
    if not name or not repo or "/" in name or name.startswith("."):
        raise StartError(f"--adapter {given}: the form is NAME=REPO or NAME=REPO@REVISION.")
    return Repo(repo, revision or None, adapters_dir / name / (revision or "main").replace("/", "-"))


def _make_folders() -> None:
    """Make the folders that the engine's libraries need. Raises `StartError`, which names the variable of the folder."""
    for name in _FOLDERS:
        if not (folder := os.environ.get(name)):
            continue
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(
                f"{name}={folder} cannot be created by user {os.getuid()}, group {os.getgid()}: {error.strerror}. "
                "Make the volume writable by the group (fsGroup)."
            ) from None


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise StartError(f"The folder {folder} does not exist.")
    if lacking := missing(folder):
        raise StartError(f"{folder} is not complete: {_some(lacking)} missing.")
    say(f"{folder} is complete.")


def _fetch(repo: Repo, *, takes_all: bool, patience_s: float) -> None:
    local = repo.on_disk()
    if repo.is_offline:
        if local is None:
            raise StartError(f"{repo} is not on the volume ({repo.storage}), and HF_HUB_OFFLINE forbids the download.")
        _check_folder(local)
        return
    is_whole = local is not None and is_marked(local)
    if is_whole and repo.is_pinned:
        say(f"{repo} is complete: {local}")
        return
    try:
        folder, files = Patience(repo, min(patience_s, _WITH_A_COPY_S) if is_whole else patience_s).ask(repo.files)
    except StartError as error:
        if not is_whole:
            raise
        # The tag or branch may have moved, but an older copy can still answer calls.
        say(f"Warning: {error} The copy from an earlier fetch is used: {local}")
        return
    _download(repo, files if takes_all else wanted(files), folder, Patience(repo, patience_s))


def _download(repo: Repo, files: dict[str, int], folder: Path, patience: "Patience") -> None:
    remove_abandoned(repo.storage)
    to_come = sum(files.values()) - bytes_of(files, folder)
    _must_fit(repo, to_come)
    say(f"{repo}: {len(files)} files, {_size(sum(files.values()))}, of which {_size(to_come)} to download.")
    started = time.monotonic()
    with _reporting_progress(repo, to_come):
        folder = patience.ask(lambda: repo.download(files))
    mark(folder, files)
    say(f"{repo} is complete after {time.monotonic() - started:.0f} s: {folder}")


def _must_fit(repo: Repo, to_come: int) -> None:
    repo.storage.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(repo.storage).free
    if to_come * _SPARE > free:
        raise StartError(f"{repo} needs {_size(to_come)} more; {repo.storage} has {_size(free)} free. Use a larger volume.")


class Patience:
    """Retries a call with growing waits. It gives up after `within_s` seconds without a new byte, or if retrying cannot help."""

    def __init__(self, repo: Repo, within_s: float) -> None:
        self._repo = repo
        self._within_s = within_s

    def ask(self, call: Callable[[], Result]) -> Result:
        """Return the result of the call. Raises `StartError` when it gives up."""
        wait_s, had, deadline = _FIRST_WAIT_S, 0, time.monotonic() + self._within_s
        while True:
            try:
                return call()
            except Exception as error:
                if reason := refusal(error, self._repo):
                    raise StartError(reason) from None
                has = self._repo.bytes_on_disk()
                if has > had:
                    wait_s, had, deadline = _FIRST_WAIT_S, has, time.monotonic() + self._within_s
                pause_s = retry_after_s(error) or wait_s * random.uniform(0.75, 1.25)  # noqa: S311 - spreads the retries of many pods
                if time.monotonic() + pause_s > deadline:
                    raise StartError(
                        f"{self._repo}: gave up after {self._within_s:.0f} s without a new byte ({_name(error)})."
                    ) from None
                say(f"{self._repo}: {_name(error)}; next try in {pause_s:.0f} s")
                time.sleep(pause_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


@contextmanager
def _reporting_progress(repo: Repo, to_come: int) -> Iterator[None]:
    """Print the progress of a download at intervals. It is read from the disk, so it works for every download method."""
    before = repo.bytes_on_disk()
    last = 0

    def report() -> None:
        nonlocal last
        come = min(max(0, repo.bytes_on_disk() + bytes_coming(repo.storage) - before), to_come)
        say(f"{repo}: {_size(come)} of {_size(to_come)}, {_size(max(0, come - last) / EVERY_S)}/s")
        last = come

    with at_intervals(report):
        yield


def _name(error: BaseException) -> str:
    """Return the error's class and status, without its message, which may contain a signed URL."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"{type(error).__name__}, status {status}" if status else type(error).__name__


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
