"""Checks that a LoRA adapter fits the base model. It reads only file headers, before an engine loads anything.

vLLM does not check this. It copies the part of a tensor that fits, and it ignores layers that the model lacks. So an adapter of
another model would load and give wrong answers. Here every tensor must match a weight of the base model and that weight's shape.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from service.engine.lora.base_weights import Misfit, Shape, Tensor, read_tensors
from service.errors import AdapterRefused

CONFIG_FILE, TENSOR_FILE = "adapter_config.json", "adapter_model.safetensors"
Modules = Mapping[str, Shape | None]
"""The base model's modules: name -> shape of the weight, (outputs, inputs) for a linear layer.

None means that the file format does not show the shape.
"""

_PEFT_PREFIX = "base_model.model."
# PEFT writes these beside an adapter of the embedding. They are the base model's own weights, and vLLM ignores them.
_COPIED_SUFFIX = ".base_layer.weight"
# The end of a tensor's name gives its side (A or B), and whether it belongs to an embedding.
_SIDES: dict[str, tuple[Literal["A", "B"], bool]] = {
    ".lora_A.weight": ("A", False),
    ".lora_B.weight": ("B", False),
    ".lora_embedding_A": ("A", True),
    ".lora_embedding_B": ("B", True),
}
_DTYPES = ("F32", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class _Config:
    """The fields of adapter_config.json that decide names and shapes."""

    rank: int
    rank_pattern: Mapping[str, int]
    targets: tuple[str, ...]
    """Ends of module names. Empty where the file has a pattern instead of a list."""

    def rank_of(self, module: str) -> int:
        """Return a module's rank. As in PEFT, a pattern matches the end of the name after a dot, and the first match wins."""
        ranks = (rank for key, rank in self.rank_pattern.items() if re.match(rf"(.*\.)?({key})$", module))
        return next(ranks, self.rank)


def check_adapter(name: str, folder: Path, base: Callable[[], Modules], *, max_rank: int) -> None:
    """Check an adapter. Raises `AdapterRefused` with the adapter's name, the tensor, the expected value and the value found.

    `base` reads the base model's weights. It may raise `Misfit`.
    """
    try:
        config = _read_config(folder, max_rank=max_rank)
        tensors = read_tensors(folder / TENSOR_FILE)
        modules = base()
        _check_targets(config, modules)
        _check_tensors(config, tensors, modules)
    except Misfit as misfit:
        raise AdapterRefused(name, str(misfit)) from None


def _read_config(folder: Path, *, max_rank: int) -> _Config:
    if not folder.is_dir():
        raise Misfit(f"{folder} is not a folder")
    fields = _read_json(folder / CONFIG_FILE)
    if (kind := fields.get("peft_type", "LORA")) != "LORA":
        raise Misfit(f"{CONFIG_FILE}: peft_type is {kind!r}; expected 'LORA'")
    rank: Any = fields.get("r")
    pattern, targets = fields.get("rank_pattern") or {}, fields.get("target_modules")
    if not isinstance(pattern, dict) or not all(type(value) is int and value >= 1 for value in (rank, *pattern.values())):
        raise Misfit(f"{CONFIG_FILE}: r and the values of rank_pattern must be integers of at least 1; r is {rank!r}")
    if (highest := max(rank, *pattern.values(), 0)) > max_rank:
        raise Misfit(f"its rank is {highest}; the limit is {max_rank}. Raise max_lora_rank in FIRSTWORD_ENGINE_ARGS")
    if type(alpha := fields.get("lora_alpha")) not in (int, float):
        raise Misfit(f"{CONFIG_FILE}: lora_alpha is {alpha!r}; expected a number")
    if isinstance(targets, str):
        return _Config(rank, pattern, ())
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise Misfit(f"{CONFIG_FILE}: target_modules must be a list of module names or a pattern")
    return _Config(rank, pattern, tuple(targets))


def _read_json(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text())
    except FileNotFoundError:
        raise Misfit(f"{file} does not exist") from None
    except (OSError, ValueError) as error:
        raise Misfit(f"{file} cannot be read as JSON ({type(error).__name__})") from None
    if not isinstance(fields, dict):
        raise Misfit(f"{file} does not hold a JSON object")
    return fields


def _check_targets(config: _Config, modules: Modules) -> None:
    for target in config.targets:
        if not any(module == target or module.endswith(f".{target}") for module in modules):
            linear = sorted({module.rpartition(".")[2] for module, shape in modules.items() if shape and len(shape) == 2})
            raise Misfit(f"{CONFIG_FILE}: target_modules has {target!r}, but the base model only has {', '.join(linear)}")


def _check_tensors(config: _Config, tensors: Mapping[str, Tensor], modules: Modules) -> None:
    sides: dict[str, set[str]] = {}
    for name, tensor in tensors.items():
        if name.endswith(_COPIED_SUFFIX):
            _check_shape(name, tensor, _base_shape(name, name.removesuffix(_COPIED_SUFFIX), modules))
            continue
        suffix = next((suffix for suffix in _SIDES if name.endswith(suffix)), None)
        if suffix is None:
            raise Misfit(f"tensor {name} is unknown; expected a name that ends in one of {', '.join(_SIDES)}")
        module, (side, is_embedding) = name.removesuffix(suffix), _SIDES[suffix]
        if tensor.dtype not in _DTYPES:
            raise Misfit(f"tensor {name} has type {tensor.dtype}; expected one of {', '.join(_DTYPES)}")
        outputs, inputs = _base_shape(name, module, modules)
        if is_embedding:  # An embedding is looked up by token, so its sides are swapped.
            outputs, inputs = inputs, outputs
        rank = config.rank_of(module.removeprefix(_PEFT_PREFIX))
        _check_shape(name, tensor, (rank, inputs) if side == "A" else (outputs, rank))
        sides.setdefault(module, set()).add(side)
    if not sides:
        raise Misfit(f"{TENSOR_FILE} has no LoRA tensor")
    for module, there in sides.items():
        if missing := {"A", "B"} - there:
            raise Misfit(f"{module} has lora_{min(there)} but no lora_{min(missing)}; expected both")


def _base_shape(name: str, module: str, modules: Modules) -> tuple[int, int]:
    """Return (outputs, inputs) of the base weight that a tensor belongs to. Raises `Misfit` if there is none."""
    module = module.removeprefix(_PEFT_PREFIX)
    if module not in modules:
        raise Misfit(f"tensor {name} does not fit: the base model has no {module}{_layers(modules)}")
    shape = modules[module]
    if shape is None:
        raise Misfit(f"tensor {name} cannot be checked: the base model stores {module} in a format that does not show its shape")
    if len(shape) != 2:
        raise Misfit(f"tensor {name}: {module} is not a linear layer or an embedding; its shape is {list(shape)}")
    return shape[0], shape[1]


def _layers(modules: Modules) -> str:
    numbers = [int(found[1]) for module in modules if (found := re.search(r"\blayers\.(\d+)\.", module))]
    return f" (its layers are 0 to {max(numbers)})" if numbers else ""


def _check_shape(name: str, tensor: Tensor, expected: Shape) -> None:
    if tensor.shape != expected:
        raise Misfit(f"tensor {name} has shape {list(tensor.shape)}; expected {list(expected)}")
