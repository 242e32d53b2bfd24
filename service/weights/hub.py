"""The model hub, as far as `fetch` needs it: a repository's files, their download, and what its refusals mean."""

import errno
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from service.errors import StartError

_NO_USE = {errno.ENOSPC: "the volume is full", errno.EDQUOT: "the quota is used up", errno.EROFS: "the volume is read-only"}
_PERMITTED_WAIT_S = 300.0


@dataclass(frozen=True)
class Repo:
    """A model, in the hub's cache, or an adapter, in a folder of its own."""

    name: str
    revision: str | None = None
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def is_offline(self) -> bool:
        return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")

    @property
    def is_pinned(self) -> bool:
        """A commit: what is whole on the disk needs no look at the hub."""
        return self.revision is not None and re.fullmatch("[0-9a-f]{40}", self.revision) is not None

    @property
    def storage(self) -> Path:
        """Where bytes arrive."""
        if self.folder is not None:
            return self.folder
        return Path(_client().constants.HF_HUB_CACHE) / "--".join(["models", *self.name.split("/")])

    def on_disk(self) -> Path | None:
        """The folder that an engine would read, whole or not; None where there is none."""
        if self.folder is not None:
            return self.folder if self.folder.is_dir() and any(self.folder.iterdir()) else None
        commit = self.revision if self.is_pinned else _text(self.storage / "refs" / (self.revision or "main"))
        snapshot = self.folder_of(commit) if commit else None
        return snapshot if snapshot is not None and snapshot.is_dir() else None

    def folder_of(self, commit: str) -> Path:
        return self.folder or self.storage / "snapshots" / commit

    def bytes_on_disk(self) -> int:
        """What lies there whole; links count once."""
        blobs = self.storage if self.folder is not None else self.storage / "blobs"
        whole = (path for path in blobs.rglob("*") if path.is_file() and path.suffix != ".incomplete")
        return sum(path.stat().st_size for path in whole)

    def files(self) -> tuple[Path, dict[str, int]]:
        """Where the commit that the revision now means belongs, and its files' sizes, as the hub lists them."""
        told = _client().HfApi().model_info(self.name, revision=self.revision, files_metadata=True)
        return self.folder_of(told.sha), {file.rfilename: file.size or 0 for file in told.siblings or ()}

    def download(self, names: Iterable[str]) -> Path:
        """Those files. What is there is left; two pods at it at once each write files of their own and rename them when whole."""
        exact = [glob.escape(name) for name in names]
        where = {"local_dir": self.folder, "allow_patterns": exact, "max_workers": 4}
        return Path(_client().snapshot_download(self.name, revision=self.revision, **where))


def refusal(error: BaseException, repo: Repo) -> str | None:
    """A sentence where trying again is of no use; None where it may help."""
    return next((told for cause in _causes(error) if (told := _refused(cause, repo) or _unwritable(cause, repo))), None)


def _refused(error: BaseException, repo: Repo) -> str | None:
    kinds = _client().errors
    if isinstance(error, kinds.HFValidationError):
        return f"{repo.name} is no Hugging Face model ID: it takes ORGANISATION/NAME."
    if isinstance(error, kinds.GatedRepoError):
        return f"{repo} is gated: accept its terms on its page, and give a token of that account in HF_TOKEN (a Secret)."
    if isinstance(error, kinds.RevisionNotFoundError):
        return f"{repo.name} has no revision {repo.revision}."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):
        token = "HF_TOKEN is set, but may not read it" if os.environ.get("HF_TOKEN") else "no HF_TOKEN is set"
        return f"{repo.name} does not exist, or is private (status {status}; {token})."
    return None


def _unwritable(error: BaseException, repo: Repo) -> str | None:
    if isinstance(error, PermissionError):
        return f"{repo}: {error.filename} cannot be written by user {os.getuid()}: {error.strerror}."
    if isinstance(error, OSError) and error.errno in _NO_USE:
        return f"{repo}: {_NO_USE[error.errno]} ({repo.storage})."
    return None


def retry_after_s(error: BaseException) -> float | None:
    """What a busy hub asks for, within bounds."""
    for cause in _causes(error):
        told = getattr(getattr(cause, "response", None), "headers", {}).get("retry-after", "")
        if told.isdigit():
            return min(float(told), _PERMITTED_WAIT_S)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _client() -> ModuleType:
    try:
        # It reads the environment when imported.
        import huggingface_hub.constants  # noqa: PLC0415
        import huggingface_hub.errors  # noqa: PLC0415
    except ImportError:
        raise StartError("huggingface_hub is not installed here: `fetch` runs from the image that serves.") from None
    return huggingface_hub


def _text(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
