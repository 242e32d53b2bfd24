"""Which files of a model repository vLLM loads, and which of them are on the disk already."""

import json
import time
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

_MARKER = "firstword-fetched.json"
_ABANDONED_S = 3600
_OTHER_FORMATS = {".gguf", ".onnx", ".onnx_data", ".h5", ".msgpack", ".ot", ".tflite", ".mlmodel", ".pth", ".ckpt", ".zip"}
_PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp4", ".pdf"}
_TORCH = (".bin", ".pt")
_TEMPLATES = "additional_chat_templates/"


def wanted(files: Mapping[str, int]) -> dict[str, int]:
    """Return names and sizes of the files that vLLM loads with `load_format: auto`, without other formats and duplicates.

    As in vLLM's loader: `consolidated*.safetensors` if there are any, otherwise `*.safetensors`, otherwise `*.bin` and `*.pt`.
    Weights in folders (`original/` and the like) are not read.
    """
    top = [name for name in files if "/" not in name]
    has_safetensors = any(fnmatch(name, "*.safetensors") for name in top)
    has_consolidated = any(fnmatch(name, "consolidated*.safetensors") for name in top)

    def is_wanted(name: str) -> bool:
        path = PurePosixPath(name)
        if path.suffix in _OTHER_FORMATS | _PICTURES or path.parts[0] == "original":
            return False
        if path.suffix in _TORCH:
            return not has_safetensors and len(path.parts) == 1
        if path.suffix == ".safetensors":
            return len(path.parts) == 1 and (not has_consolidated or name.startswith("consolidated"))
        return True

    return {name: size for name, size in files.items() if is_wanted(name)}


def without_weights(files: Mapping[str, int]) -> dict[str, int]:
    """Return names and sizes of what describes a model: configuration, tokenizer and chat templates, but no weights."""
    return {
        name: size
        for name, size in wanted(files).items()
        if not name.endswith((".safetensors", *_TORCH)) and ("/" not in name or name.startswith(_TEMPLATES))
    }


def weights_bytes(files: Mapping[str, int]) -> int:
    """Return the bytes of the weights that vLLM loads. 0 if there are none among the files."""
    return sum(size for name, size in wanted(files).items() if name.endswith((".safetensors", *_TORCH)) and "/" not in name)


def missing(folder: Path) -> list[str]:
    """Return the files that a folder lacks: by the list that `fetch` wrote, or else by what every model or adapter must have."""
    try:
        names = json.loads((folder / _MARKER).read_text())
    except (OSError, ValueError):
        return _obviously_missing(folder)
    return [name for name in names if not (folder / name).is_file()]


def _obviously_missing(folder: Path) -> list[str]:
    if (folder / "adapter_config.json").is_file():
        return [] if _has(folder, "adapter_model.*") else ["adapter_model.safetensors"]
    lacking = [] if _has(folder, "config.json") or _has(folder, "params.json") else ["config.json"]
    for index in folder.glob("*.safetensors.index.json"):
        shards = set(json.loads(index.read_text())["weight_map"].values())
        return lacking + sorted(shard for shard in shards if not (folder / shard).is_file())
    if not any(_has(folder, pattern) for pattern in ("*.safetensors", "*.bin", "*.pt", "*.gguf")):
        lacking.append("*.safetensors")
    return lacking


def _has(folder: Path, pattern: str) -> bool:
    # A link to a file that is gone does not count.
    return any(path.is_file() for path in folder.glob(pattern))


def is_marked(folder: Path) -> bool:
    """Return whether a `fetch` into this folder has completed and all its files still exist."""
    return (folder / _MARKER).is_file() and not missing(folder)


def mark(folder: Path, names: Iterable[str]) -> None:
    """Write the list of the files of a complete download. The list gets its name only when it is complete."""
    draft = folder / f".{_MARKER}.{time.monotonic_ns()}"
    draft.write_text(json.dumps(sorted(names)))
    draft.replace(folder / _MARKER)


def bytes_of(files: Mapping[str, int], folder: Path) -> int:
    """Return how many bytes of the files a folder has already. A file gets its name only when it is complete."""
    return sum(size for name, size in files.items() if (folder / name).is_file())


def bytes_coming(folder: Path) -> int:
    """Return the bytes that running downloads have written. Each pod writes its own files, and renames them at the end."""
    total = 0
    for path in folder.rglob("*.incomplete"):
        try:
            total += min(path.stat().st_size, path.stat().st_blocks * 512)
        except FileNotFoundError:
            continue  # It was renamed meanwhile.
    return total


def remove_abandoned(folder: Path) -> None:
    """Remove the files of killed downloads, which the client never resumes.

    A file must be unchanged for an hour. Then no other pod is still writing it.
    """
    for path in folder.rglob("*.incomplete"):
        try:
            if path.stat().st_mtime < time.time() - _ABANDONED_S:
                path.unlink()
        except FileNotFoundError:
            continue
