"""Reads the names and shapes of a model's weights from the headers of its safetensors files. No weight is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

Shape = tuple[int, ...]


class Misfit(Exception):
    """The reason why an adapter cannot be served. `check_adapter` adds the adapter's name."""


@dataclass(frozen=True, slots=True)
class Tensor:
    dtype: str
    """Name of the type in safetensors, such as F32, BF16 or U8."""
    shape: Shape


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read the header of a safetensors file: tensor name -> type and shape.

    Raises `Misfit` if the file is missing, is not complete, or has another format.
    """
    if not file.is_file():
        raise Misfit(f"{file} does not exist. The format must be safetensors; .bin files are not read")
    try:
        with safe_open(file, framework="numpy") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  # not a dict
            return {name: Tensor(part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise Misfit(f"{file} is not a complete safetensors file ({error})") from None


def read_base(model: str, *, revision: str | None, download_dir: str | None) -> dict[str, Shape | None]:
    """Return module name -> shape of its weight, (outputs, inputs) for a linear layer.

    None means that the format does not show the shape. Raises `Misfit` if there are no safetensors files: an adapter that cannot
    be checked is not served.
    """
    folder = _folder(model, revision=revision, download_dir=download_dir)
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= read_tensors(file)
    if not tensors:
        raise Misfit(f"the base model in {folder} has no safetensors files, so its adapters cannot be checked")
    modules = {name.rpartition(".")[0] for name in tensors if name.endswith((".weight", ".qweight", ".weight_packed"))}
    return {module: _shape_of(module, tensors) for module in modules}


def _folder(model: str, *, revision: str | None, download_dir: str | None) -> Path:
    """Return the folder of a model's files: its own folder, or the Hub's cache, which vLLM has filled before."""
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, revision=revision, cache_dir=download_dir, local_files_only=True))
    except Exception as error:  # The client raises several kinds for a missing file or an invalid model ID.
        raise Misfit(f"the files of the base model {model} are not on this machine ({type(error).__name__})") from None


def _shape_of(module: str, tensors: Mapping[str, Tensor]) -> Shape | None:
    weight = tensors.get(f"{module}.weight")
    if weight is not None:
        # One-byte integers can be packed (bitsandbytes, NVFP4). Only floating-point weights hold one value per element.
        return weight.shape if weight.dtype[0] in "FB" else None
    packed, scales, zeros = (tensors.get(f"{module}.{name}") for name in ("qweight", "scales", "qzeros"))
    if packed is None or scales is None or zeros is None or not scales.shape or not zeros.shape:
        return None
    # AWQ packs several outputs in an int32, and GPTQ packs several inputs. Both have scales and zeros for each output.
    outputs, values_per_int = scales.shape[-1], scales.shape[-1] // zeros.shape[-1]
    is_gptq = packed.shape[1] == outputs
    return outputs, packed.shape[0] * (values_per_int if is_gptq else 1)
