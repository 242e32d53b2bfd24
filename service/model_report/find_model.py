"""Finds the folder of a model by what `FIRSTWORD_MODEL` may be. Of a model on the hub, it downloads all files but the weights."""

import os
from pathlib import Path

from service.console.progress import say, step
from service.engine.models.embedded import MODEL_NAME, ensure_embedded_model
from service.engine.models.model_folder import ModelFolder, read_folder
from service.errors import StartError
from service.settings import EMBEDDED_MODEL
from service.weights.files import is_marked, without_weights
from service.weights.hub import Repo, refusal


def find_model(given: str, revision: str | None = None) -> ModelFolder:
    """Return the folder of `embedded`, of a local folder, or of a model ID. Raises `StartError` if there is none."""
    if given == EMBEDDED_MODEL:
        return read_folder(ensure_embedded_model(say), MODEL_NAME)
    path = Path(given).expanduser()
    if path.is_dir():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # A folder needs nothing from the hub.
        return read_folder(path.resolve(), path.resolve().name)
    if given.startswith(("/", ".", "~")):
        raise StartError(f"The folder {given} does not exist.")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    return _from_hub(Repo(given, revision))


def _from_hub(repo: Repo) -> ModelFolder:
    name, local = Path(repo.name).name, repo.on_disk()
    if repo.is_offline and local is None:
        raise StartError(f"{repo} is not on the disk ({repo.storage}), and HF_HUB_OFFLINE forbids the download.")
    if local is not None and (repo.is_offline or (repo.is_pinned and is_marked(local))):
        return read_folder(local, name)
    try:
        with step(f"Downloading the description of {repo}, without weights"):
            _, files = repo.files()
            return read_folder(repo.download(without_weights(files)), name, files)
    except Exception as error:
        reason = refusal(error, repo) or f"{repo}: the model hub does not answer ({type(error).__name__})."
        if local is None:
            raise StartError(reason) from None
        say(f"Warning: {reason} The copy on the disk is used: {local}")
        return read_folder(local, name)
