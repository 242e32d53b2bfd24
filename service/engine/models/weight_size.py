"""The GPU memory that a model's weights take, from the headers of its safetensors files, without reading a tensor."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BYTES_OF_DTYPE = {"F64": 8, "F32": 2, "I64": 8, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "U16": 2, "F4": 0.5, "F6_E2M3": 0.75}
"""Bytes of a weight after vLLM has loaded it. By default vLLM turns F32 into BF16. Types that are not listed have one byte."""
_LONGEST_HEADER = 100 * 2**20
"""Bytes. The format allows no longer header."""


def loaded_bytes(elements: Mapping[str, int], config: Mapping[str, Any], engine_args: Mapping[str, Any]) -> float:
    """Return the bytes of weights after loading. `elements` is their number by type, by the names of safetensors."""
    total = float(sum(count * _BYTES_OF_DTYPE.get(dtype, 1) for dtype, count in elements.items()))
    is_quantized = "quantization_config" in config or "quantization" in config  # The second is params.json.
    # vLLM quantizes the weights while it loads them.
    return total / 2 if engine_args.get("quantization") == "fp8" and not is_quantized else total


def elements_by_dtype(file: Path) -> Counter[str]:
    """Return the number of elements of each type in a safetensors file. Raises `OSError`, or `ValueError` for another file."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError(f"{file} is not a safetensors file")
        header = json.loads(opened.read(length))
    counts: Counter[str] = Counter()
    for name, tensor in header.items():
        if name != "__metadata__":
            counts[tensor["dtype"]] += math.prod(tensor["shape"])
    return counts
