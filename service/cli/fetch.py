"""`firstword fetch MODEL`: weights on the disk before an engine starts, so that serving looks nothing up.

Made for a container that runs before the one that serves: it goes on after broken connections and a busy hub, says how far
it is, and ends at once, with what to do, where waiting would not help.
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

from service.console.progress import EVERY_S, now_and_then, say
from service.errors import StartError
from service.settings import EMBEDDED_MODEL
from service.weights.files import bytes_coming, bytes_of, is_marked, mark, missing, remove_abandoned, wanted
from service.weights.hub import Repo, refusal, retry_after_s

_FIRST_WAIT_S, _LONGEST_WAIT_S = 1.0, 60.0
_SPARE = 1.02
"""Of the bytes to come, what must be free: file systems take some for themselves."""
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
"""Patience with a hub that does not answer, where there is something to start with."""

Result = TypeVar("Result")


def fetch(
    model: Annotated[str, typer.Argument(help="A Hugging Face model ID; a folder or `embedded` is only looked at.")],
    *,
    revision: Annotated[str | None, typer.Option(help="A commit, tag or branch; a commit alone is sure not to change.")] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(metavar="NAME=REPO[@REVISION]", help="A LoRA adapter; may be given several times.")
    ] = None,
    adapters_dir: Annotated[Path, typer.Option(help="Adapters go to NAME/REVISION in here.")] = Path("/cache/adapters"),
    all_files: Annotated[bool, typer.Option("--all", help="Every file, not only what vLLM loads by default.")] = False,
    patience_s: Annotated[float, typer.Option(min=0, help="Give up after so many seconds without a new byte.")] = 300.0,
) -> None:
    """Download a model and its adapters into HF_HOME, with retries. The token is HF_TOKEN; with HF_HUB_OFFLINE=1 only look."""
    # As process 1 of a container we have no default way to end at a signal.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(143))
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    repos = [_parse_adapter(given, adapters_dir) for given in adapter or ()]
    _make_folders()
    if model == EMBEDDED_MODEL:
        say("The embedded model comes with the image: nothing to fetch.")
    elif model.startswith(("/", ".", "~")) or Path(model).is_dir():
        _look_at(Path(model).expanduser())
    else:
        repos.insert(0, Repo(model, revision))
    for repo in repos:
        _fetch(repo, takes_all=all_files, patience_s=patience_s)


def _parse_adapter(given: str, adapters_dir: Path) -> Repo:
    name, _, where = given.partition("=")
    repo, _, revision = where.partition("@")
    if not name or not repo or "/" in name or name.startswith("."):
        raise StartError(f"--adapter {given}: it takes NAME=REPO or NAME=REPO@REVISION.")
    return Repo(repo, revision or None, adapters_dir / name / (revision or "main").replace("/", "-"))


def _make_folders() -> None:
    """What the engine's libraries would make themselves, made here, where a volume that cannot be written is named."""
    for name in _FOLDERS:
        if not (folder := os.environ.get(name)):
            continue
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StartError(
                f"{name}={folder} cannot be made by user {os.getuid()}, group {os.getgid()}: {error.strerror}. "
                "The volume must be writable by the group (fsGroup)."
            ) from None


def _look_at(folder: Path) -> None:
    if not folder.is_dir():
        raise StartError(f"There is no folder {folder}.")
    if lacking := missing(folder):
        raise StartError(f"{folder} is not whole: {_some(lacking)} missing.")
    say(f"{folder} is there.")


def _fetch(repo: Repo, *, takes_all: bool, patience_s: float) -> None:
    there = repo.on_disk()
    if repo.is_offline:
        if there is None:
            raise StartError(f"{repo} is not on the volume ({repo.storage}), and HF_HUB_OFFLINE forbids to download it.")
        _look_at(there)
        return
    is_whole = there is not None and is_marked(there)
    if is_whole and repo.is_pinned:
        say(f"{repo} is there: {there}")
        return
    try:
        folder, files = Patience(repo, min(patience_s, _WITH_A_COPY_S) if is_whole else patience_s).ask(repo.files)
    except StartError as error:
        if not is_whole:
            raise
        # A tag or branch may have moved; that nobody can say is no reason not to answer calls.
        say(f"Warning: {error} What was fetched before is used: {there}")
        return
    _download(repo, files if takes_all else wanted(files), folder, Patience(repo, patience_s))


def _download(repo: Repo, files: dict[str, int], folder: Path, patience: "Patience") -> None:
    remove_abandoned(repo.storage)
    to_come = sum(files.values()) - bytes_of(files, folder)
    _must_fit(repo, to_come)
    say(f"{repo}: {len(files)} files, {_size(sum(files.values()))}, of which {_size(to_come)} to download.")
    started = time.monotonic()
    with _telling(repo, to_come):
        folder = patience.ask(lambda: repo.download(files))
    mark(folder, files)
    say(f"{repo} is there after {time.monotonic() - started:.0f} s: {folder}")


def _must_fit(repo: Repo, to_come: int) -> None:
    repo.storage.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(repo.storage).free
    if to_come * _SPARE > free:
        raise StartError(f"{repo} needs {_size(to_come)} more; {repo.storage} has {_size(free)} free. A larger volume is needed.")


class Patience:
    """Calls again what failed, with growing waits, until nothing new has come for `within_s`, or waiting is of no use."""

    def __init__(self, repo: Repo, within_s: float) -> None:
        self._repo = repo
        self._within_s = within_s

    def ask(self, call: Callable[[], Result]) -> Result:
        wait_s, had, deadline = _FIRST_WAIT_S, 0, time.monotonic() + self._within_s
        while True:
            try:
                return call()
            except Exception as error:
                if told := refusal(error, self._repo):
                    raise StartError(told) from None
                has = self._repo.bytes_on_disk()
                if has > had:
                    wait_s, had, deadline = _FIRST_WAIT_S, has, time.monotonic() + self._within_s
                pause_s = retry_after_s(error) or wait_s * random.uniform(0.75, 1.25)  # noqa: S311 - so that pods do not come at once
                if time.monotonic() + pause_s > deadline:
                    told = f"gave up after {self._within_s:.0f} s without a new byte"
                    raise StartError(f"{self._repo}: {told} ({_name(error)}).") from None
                say(f"{self._repo}: {_name(error)}; again in {pause_s:.0f} s")
                time.sleep(pause_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


@contextmanager
def _telling(repo: Repo, to_come: int) -> Iterator[None]:
    """A line now and then. It reads the disk, so it holds for every way in which the client may download."""
    before = repo.bytes_on_disk()
    last = 0

    def tell() -> None:
        nonlocal last
        come = min(max(0, repo.bytes_on_disk() + bytes_coming(repo.storage) - before), to_come)
        say(f"{repo}: {_size(come)} of {_size(to_come)}, {_size(max(0, come - last) / EVERY_S)}/s")
        last = come

    with now_and_then(tell):
        yield


def _name(error: BaseException) -> str:
    """The error's kind and status, never its words: they may hold signed URLs."""
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
