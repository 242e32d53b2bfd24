"""LoRA adapters in PEFT's format, made by the test that needs them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Arrays = dict[str, "np.ndarray[Any, Any]"]


def lora_tensors(shapes: Mapping[str, tuple[int, int]], *, rank: int, seed: int = 0, size: float = 1.0) -> Arrays:
    """Tensors for modules of (outputs, inputs), random. `size`: how much each adds to its module's output, beside its input."""
    numbers = np.random.default_rng(seed)
    tensors: Arrays = {}
    for module, (outputs, inputs) in shapes.items():
        for side, shape, scale in (("A", (rank, inputs), inputs**-0.5), ("B", (outputs, rank), size * rank**-0.5)):
            values = numbers.standard_normal(shape) * scale
            tensors[f"base_model.model.{module}.lora_{side}.weight"] = values.astype(np.float32)
    return tensors


def write_adapter(folder: Path, tensors: Arrays, *, rank: int, **config: Any) -> Path:
    """A whole adapter: configuration and tensors. The targets are the modules of the tensors."""
    folder.mkdir(parents=True)
    targets = sorted({name.split(".lora_")[0].rpartition(".")[2] for name in tensors})
    reported = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": targets, **config}
    (folder / "adapter_config.json").write_text(json.dumps(reported))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder
