"""What weights a model has and of what shape, read from the headers of its safetensors files: no weight is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

Shape = tuple[int, ...]


class Misfit(Exception):
    """Why an adapter cannot be served; whoever knows its name adds it."""


@dataclass(frozen=True, slots=True)
class Tensor:
    dtype: str
    """As safetensors writes it: F32, BF16, U8 …"""
    shape: Shape


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The header of a safetensors file: tensor name -> type and shape. Raises `Misfit` for what is none, or cut short."""
    if not file.is_file():
        raise Misfit(f"{file} does not exist (the format is safetensors; .bin is not read)")
    try:
        with safe_open(file, framework="numpy") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118  # it is no dict
            return {name: Tensor(part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise Misfit(f"{file} is not a whole safetensors file ({error})") from None


def read_base(model: str, *, revision: str | None, download_dir: str | None) -> dict[str, Shape | None]:
    """Module name -> the shape of its weight, (outputs, inputs) of a linear layer; None where the format hides it.

    Raises `Misfit` where there are no safetensors files: what cannot be checked is not served.
    """
    folder = _folder(model, revision=revision, download_dir=download_dir)
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= read_tensors(file)
    if not tensors:
        raise Misfit(f"the base model in {folder} has no safetensors files to check adapters against")
    modules = {name.rpartition(".")[0] for name in tensors if name.endswith((".weight", ".qweight", ".weight_packed"))}
    return {module: _shape_of(module, tensors) for module in modules}


def _folder(model: str, *, revision: str | None, download_dir: str | None) -> Path:
    """Where a model's files are: its own folder, or the Hub's cache as vLLM has just filled it."""
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(snapshot_download(model, revision=revision, cache_dir=download_dir, local_files_only=True))
    except Exception as error:  # Whatever it cannot find or does not take for an ID.
        raise Misfit(f"the files of the base model {model} are not on this machine ({type(error).__name__})") from None


def _shape_of(module: str, tensors: Mapping[str, Tensor]) -> Shape | None:
    weight = tensors.get(f"{module}.weight")
    if weight is not None:
        # Integers of one byte can be packed (bitsandbytes, NVFP4): only floating point is one value an element.
        return weight.shape if weight.dtype[0] in "FB" else None
    packed, scales, zeros = (tensors.get(f"{module}.{name}") for name in ("qweight", "scales", "qzeros"))
    if packed is None or scales is None or zeros is None or not scales.shape or not zeros.shape:
        return None
    # AWQ packs several outputs in an int32, GPTQ several inputs; both have scales and zeros for each output.
    outputs, values_per_int = scales.shape[-1], scales.shape[-1] // zeros.shape[-1]
    is_gptq = packed.shape[1] == outputs
    return outputs, packed.shape[0] * (values_per_int if is_gptq else 1)
