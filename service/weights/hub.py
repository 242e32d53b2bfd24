"""The model hub, as far as `fetch` needs it: a repository's files, their download, and the meaning of the hub's errors."""

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
    """A repository of a model in the hub's cache, or of an adapter in its own folder."""

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
        """Whether the revision is a commit. A complete copy on the disk then needs no request to the hub."""
        return self.revision is not None and re.fullmatch("[0-9a-f]{40}", self.revision) is not None

    @property
    def storage(self) -> Path:
        """The folder into which files are downloaded."""
        if self.folder is not None:
            return self.folder
        return Path(_client().constants.HF_HUB_CACHE) / "--".join(["models", *self.name.split("/")])

    def on_disk(self) -> Path | None:
        """Return the folder that an engine would read, complete or not. None if there is none."""
        if self.folder is not None:
            return self.folder if self.folder.is_dir() and any(self.folder.iterdir()) else None
        commit = self.revision if self.is_pinned else _text(self.storage / "refs" / (self.revision or "main"))
        snapshot = self.folder_of(commit) if commit else None
        return snapshot if snapshot is not None and snapshot.is_dir() else None

    def folder_of(self, commit: str) -> Path:
        return self.folder or self.storage / "snapshots" / commit

    def bytes_on_disk(self) -> int:
        """Return the size of all complete files on the disk. A linked file counts once."""
        blobs = self.storage if self.folder is not None else self.storage / "blobs"
        whole = (path for path in blobs.rglob("*") if path.is_file() and path.suffix != ".incomplete")
        return sum(path.stat().st_size for path in whole)

    def files(self) -> tuple[Path, dict[str, int]]:
        """Ask the hub for the current commit of the revision. Returns its folder, and the names and sizes of its files."""
        info = _client().HfApi().model_info(self.name, revision=self.revision, files_metadata=True)
        return self.folder_of(info.sha), {file.rfilename: file.size or 0 for file in info.siblings or ()}

    def download(self, names: Iterable[str]) -> Path:
        """Download these files, except those that exist. Returns their folder.

        Two pods can do this at once: each writes its own files, and renames them when they are complete.
        """
        exact = [glob.escape(name) for name in names]
        where = {"local_dir": self.folder, "allow_patterns": exact, "max_workers": 4}
        return Path(_client().snapshot_download(self.name, revision=self.revision, **where))


def refusal(error: BaseException, repo: Repo) -> str | None:
    """Return a sentence about an error for which a retry is useless. None if a retry may help."""
    return next((reason for cause in _causes(error) if (reason := _refused(cause, repo) or _unwritable(cause, repo))), None)


def _refused(error: BaseException, repo: Repo) -> str | None:
    kinds = _client().errors
    if isinstance(error, kinds.HFValidationError):
        return f"{repo.name} is not a Hugging Face model ID. Use the form ORGANISATION/NAME."
    if isinstance(error, kinds.GatedRepoError):
        return f"{repo} is gated: accept its terms on its page, and set HF_TOKEN (from a Secret) to a token of that account."
    if isinstance(error, kinds.RevisionNotFoundError):
        return f"{repo.name} has no revision {repo.revision}."
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):
        token = "HF_TOKEN is set, but may not read it" if os.environ.get("HF_TOKEN") else "HF_TOKEN is not set"
        return f"{repo.name} does not exist, or is private (status {status}; {token})."
    return None


def _unwritable(error: BaseException, repo: Repo) -> str | None:
    if isinstance(error, PermissionError):
        return f"{repo}: {error.filename} cannot be written by user {os.getuid()}: {error.strerror}."
    if isinstance(error, OSError) and error.errno in _NO_USE:
        return f"{repo}: {_NO_USE[error.errno]} ({repo.storage})."
    return None


def retry_after_s(error: BaseException) -> float | None:
    """Return the wait in seconds that a busy hub asks for, at most 300. None if it asks for none."""
    for cause in _causes(error):
        retry_after = getattr(getattr(cause, "response", None), "headers", {}).get("retry-after", "")
        if retry_after.isdigit():
            return min(float(retry_after), _PERMITTED_WAIT_S)
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _client() -> ModuleType:
    try:
        # The client reads the environment when it is imported.
        import huggingface_hub.constants  # noqa: PLC0415
        import huggingface_hub.errors  # noqa: PLC0415
    except ImportError:
        raise StartError("huggingface_hub is not installed here. Run `fetch` in the image that serves.") from None
    return huggingface_hub


def _text(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
